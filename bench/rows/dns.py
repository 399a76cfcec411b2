"""DNS queries over UDP through the forwarders' own DNS; native and veth ask the server itself."""

import contenders
from rows import requests
from runner import DNS4, Row
from summary import OURS, Metric

TITLE = "DNS queries, 32 at once, through the forwarder's DNS"
METRICS = {"rate": Metric("1/s", digits=0), **{name: metric for name, metric in requests.METRICS.items() if name != "rate"}}
PASTA_DNS = "198.51.100.77"  # nobody's; pasta forwards what is sent there
ADDRESSES = {"native": DNS4, "veth": DNS4, OURS: "10.0.2.3", "slirp4netns": "10.0.2.3", "pasta": PASTA_DNS}


class PastaWithDns(contenders.Pasta):
    def peer_command(self):
        *command, pid = super().peer_command()
        return [*command, "--dns-forward", PASTA_DNS, pid]


def rows(bench):
    names = bench.only(list(ADDRESSES), "dns", rootlesskit="its DNS is slirp4netns's")

    def measure(name):
        make = (lambda: PastaWithDns(bench.lab, 1500)) if name == "pasta" else None
        bench.serving()
        contender = bench.up(name, kind="dns" if make else "", make=make)
        return requests.measure(bench, contender, ["requests", "--protocol=dns"], ADDRESSES[name], 32, bench.seconds / 2)

    yield Row("queries, 32 at once", names, measure)
