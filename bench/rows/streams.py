"""TCP streams to and from the wan: 1, 8 and 128 at once, over IPv4, and one over IPv6."""

import iperf
from lab.network import WAN4, WAN6
from runner import Row
from summary import OURS, Metric

TITLE = "TCP streams (iperf3, cubic); goodput at the receiver"
METRICS = {"rate": Metric("Gbit/s"), "cpu": Metric("CPU s/GiB", more_is_better=False, digits=3)}
STREAMS = (1, 8, 128)
DIRECTIONS = {"to wan": False, "from wan": True}
MTUS = (1500, 65520)


def name_of(direction, streams, version=4):
    return f"{direction}, {streams} stream{'s' if streams > 1 else ''}{', IPv6' if version == 6 else ''}"


def _row(bench, direction, streams, mtu, version, names):
    address = WAN4 if version == 4 else WAN6

    def measure(name):
        outcome = iperf.measure(bench, bench.up(name, mtu), address, bench.lab.wan, bench.seconds, DIRECTIONS[direction], streams)
        return {metric: outcome[metric] for metric in METRICS}

    return Row(name_of(direction, streams, version), names, measure, mtu)


def rows(bench):
    names = bench.only(["native", "veth", OURS, "slirp4netns", "pasta"], "streams",
                       rootlesskit="its network to the outside is slirp4netns's",
                       native="has no MTU of its own inside: measured once, in the rows of MTU 1500, and compared with at both",
                       peers="not measured over IPv6: the target is this program's own IPv4")
    for mtu in MTUS:
        here = [name for name in names if name != "native" or mtu == MTUS[0]]
        for streams in STREAMS:
            for direction in DIRECTIONS:
                yield _row(bench, direction, streams, mtu, 4, here)
        for direction in DIRECTIONS:
            yield _row(bench, direction, 1, mtu, 6, [name for name in here if name in ("native", "veth", OURS)])
