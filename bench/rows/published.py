"""Published ports: a server inside, a client on the host's 127.0.0.1.

One TCP stream each way (iperf3). Those that go through a TAP are measured at each MTU.
"""

import subprocess

import contenders
import iperf
from lab.guest import wait_for
from runner import Row
from summary import OURS, Metric

TITLE = "TCP streams through a port published on 127.0.0.1 (iperf3, cubic)"
METRICS = {"rate": Metric("Gbit/s"), "cpu": Metric("CPU s/GiB", more_is_better=False, digits=3)}
STREAMS = {"to the guest": False, "from the guest": True}  # whether iperf3 goes the reverse way
MTUS = (1500, 65520)
CONTENDERS = ("native", OURS, f"{OURS} loopback", "slirp4netns", "rootlesskit builtin", "pasta")
NO_VETH = "publishes no port here: the target is a peer's rate"


class Published:
    def __init__(self, bench):
        self.bench, self.lab, self.seconds = bench, bench.lab, bench.seconds

    def stream(self, name, mtu, reverse):
        port = next(self.bench.ports)
        with contenders.ALL[name](self.lab, mtu, port) as contender:
            server = self.serve(contender, ["iperf3", "-4", "-s", "-p", str(port)], port)
            try:
                before = contender.cpu()
                received = iperf.received(self.client(iperf.client("127.0.0.1", port, self.seconds, reverse)))
                used = contender.cpu() - before
            finally:
                self.lab.stop(server)
        return {"rate": received["bits_per_second"] / 1e9, "cpu": used / (received["bytes"] / 2**30) if contender.pids() else None}

    def serve(self, contender, argv, port):
        log = self.lab.path("server-log")
        server = contender.popen(argv, log)

        def listens(command):
            if server.poll() is not None:
                raise OSError(f"{argv[0]} ended with status {server.returncode}: {log.read_text().strip()}")
            return subprocess.run([*command, "ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout

        try:
            wait_for(lambda: listens(contender.command([])), 10, f"{argv[0]} inside")
            wait_for(lambda: listens(self.lab.host.command([])), 10, f"the published port {port}")
        except BaseException:
            self.lab.stop(server)
            raise
        return server

    def client(self, argv):
        return self.lab.user_run(argv, timeout=self.seconds + 30, check=True).stdout


def rows(bench):
    names = bench.only(CONTENDERS, "published", veth=NO_VETH)
    published = Published(bench)
    for row, reverse in STREAMS.items():
        for mtu in MTUS:
            # What goes past the TAP would be the same again at the other MTU.
            here = [name for name in names if contenders.ALL[name].needs_mtu or mtu == MTUS[0]]
            yield Row(row, here, lambda name, mtu=mtu, reverse=reverse: published.stream(name, mtu, reverse), mtu)
