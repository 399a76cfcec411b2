"""UDP: the highest rate of 1400-byte datagrams of which less than 1 % is lost, each direction.

The load tool sends batches with sendmmsg every 100 µs and searches for the rate; "GSO" rows send buffers of 32 datagrams
with UDP_SEGMENT and receive with UDP_GRO, as QUIC programs do. Receive buffers are 4 MiB at both ends, or what the machine allows.
"""

import pathlib

from lab.network import WAN4
from runner import Row
from summary import OURS, Metric

TITLE = "UDP, 1400-byte datagrams: goodput with less than 1 % loss"
METRICS = {"rate": Metric("Gbit/s", digits=3), "packets": Metric("1000/s", digits=1), "cpu": Metric("CPU s/100,000", more_is_better=False, digits=3)}
DIRECTIONS = {"to wan": "to", "from wan": "from"}
BUFFER = 4 << 20  # the load tool's
SEGMENTS = {"": 1, ", GSO": 32}


def rows(bench):
    names = bench.only(["native", "veth", OURS, "slirp4netns", "pasta"], "datagrams",
                       rootlesskit="its network to the outside is slirp4netns's")
    allowed = int(pathlib.Path("/proc/sys/net/core/rmem_max").read_text())
    if allowed < BUFFER:
        bench.note(f"datagrams: receive buffers are {allowed // 1024} KiB for all: net.core.rmem_max allows no more")

    def measure(name, direction, segments):
        load = bench.serving()
        contender = bench.up(name)
        before = contender.cpu()
        told = bench.json(contender, [load, "datagrams", f"--to={WAN4}", f"--direction={direction}", f"--segments={segments}"], 60)
        used = contender.cpu() - before
        return {"rate": told["gbit"], "packets": told["rate"] / 1000, "cpu": used / told["moved"] * 100000 if contender.pids() else None}

    for kind, segments in SEGMENTS.items():
        for direction, word in DIRECTIONS.items():
            yield Row(f"{direction}{kind}", names, lambda name, word=word, segments=segments: measure(name, word, segments))
