"""Requests and replies of 64 bytes: on open TCP connections, over UDP, and with a connection for each.

The load tool keeps one request under way on each of its connections or sockets; the MTU is 1500.
"""

from lab.network import WAN4
from runner import Row
from summary import OURS, Metric

TITLE = "64-byte requests and replies, so many at once"
METRICS = {"rate": Metric("1/s", digits=0), "p50": Metric("µs", more_is_better=False, digits=1), "p99": Metric("µs", more_is_better=False, digits=1),
           "cpu": Metric("CPU s/100,000", more_is_better=False), "lost": Metric("lost", more_is_better=False, digits=0)}
ROWS = {"TCP": (["requests", "--protocol=tcp"], (1, 32)), "UDP": (["requests", "--protocol=udp"], (1, 32)),
        "a connection each": (["one-shots"], (1, 64))}


def measure(bench, contender, command, to, parallel, seconds):
    load = bench.serving()
    before = contender.cpu()
    told = bench.json(contender, [load, *command, f"--to={to}", f"--parallel={parallel}", f"--seconds={seconds}"], seconds + 20)
    used = contender.cpu() - before
    return {**{name: told[name] for name in ("rate", "p50", "p99", "lost")},
            "cpu": used / told["count"] * 100000 if contender.pids() else None}


def rows(bench):
    names = bench.only(["native", "veth", OURS, "slirp4netns", "pasta"], "requests",
                       rootlesskit="its network to the outside is slirp4netns's")
    for row, (command, sizes) in ROWS.items():
        for parallel in sizes:
            yield Row(f"{row}, {parallel} at once", names, lambda name, command=command, parallel=parallel:
                      measure(bench, bench.up(name), command, WAN4, parallel, bench.seconds / 2))
