"""A path of 100 ms round trip with 0.1 % loss each way, by the lab's delay line.

One stream there comes to some 5 Mbit/s, and how much exactly is chance: in six seconds it loses two or three segments. So each
run has 32 streams, none of which is near what path or machine can do, and the figure is their mean. Both contenders run at the
same time. Loss keeps the windows near 40 segments: the usual limits of buffers are no limit, and stay as they are.
"""

import subprocess

import iperf
from lab import world
from lab.namespace import Namespace, address
from runner import Failed, Row
from summary import OURS, Metric

TITLE = "100 ms path with 0.1 % loss: the mean of 32 single streams (iperf3, cubic)"
METRICS = {"rate": Metric("Mbit/s")}
STREAMS, SECONDS, OMITTED = 32, 6, 3
NEAR, FAR = "192.0.2.129", "192.0.2.130"
DIRECTIONS = {"to the far end": False, "from the far end": True}


class Path:
    def __init__(self, bench):
        self.bench, self.far = bench, None

    def namespace(self):
        if self.far is None:
            host, far = self.bench.lab.host, Namespace("lossy")
            program = [world.BIN / "delay_line", f"--left={host.path},h-lossy", f"--right={far.path},l-host", "--delay-ms=50", "--loss=0.001"]
            process = self.bench.lab.popen(program, stdout=subprocess.PIPE, start_new_session=True)
            if process.stdout.readline() != "ready\n":
                raise Failed("the delay line did not start")
            for namespace, interface, here in ((host, "h-lossy", NEAR), (far, "l-host", FAR)):
                # A burst waits for the delay line instead of being lost on the way to it.
                namespace.ip("link", "set", interface, "txqueuelen", "10000", "up")
                address(namespace, interface, f"{here}/26")
            far.ip("route", "add", "default", "via", NEAR)
            self.far = far
        return self.far


def rows(bench):
    names = bench.only(["native", OURS], "lossy", peers="the target is native on the same path", veth="does not go through the lab's host")
    path = Path(bench)

    def measure(name, reverse):
        outcome = iperf.measure(bench, bench.up(name), FAR, path.namespace(), SECONDS, reverse, STREAMS, OMITTED)
        return {"rate": outcome["rate"] * 1000 / STREAMS}

    if names:
        path.namespace()  # before the contenders run side by side
    for direction, reverse in DIRECTIONS.items():
        yield Row(direction, names, lambda name, reverse=reverse: measure(name, reverse), together=True)
