"""What an egress policy of 10,000 rules and a flow log cost: the same streams and connections with and without, in turns.

Half of the rules are names and half networks, and the one that lets the load pass is the last. Each figure is from STARTS
starts, SECONDS each, whatever --seconds says.
"""

import statistics

import contenders
import iperf
from lab.network import WAN4
from runner import Row
from summary import OURS, Metric

TITLE = "10,000 rules and the flow log, beside none: one TCP stream, and a connection for each request"
METRICS = {"rate": Metric("Gbit/s"), "connections": Metric("1/s", digits=0), "cpu": Metric("CPU s/GiB or 100,000", more_is_better=False, digits=3)}
WATCHED = contenders.ForwarderWatched.name
STARTS, SECONDS = 6, 1
STREAMS = {"to wan, 1 stream": False, "from wan, 1 stream": True}
CONNECTIONS = {f"a connection each, {parallel} at once": parallel for parallel in (1, 64)}


def of_starts(bench, name, measure):
    """The means over several starts: what a process gets of caches and CPUs stays with it, and is worth a tenth."""
    measured = []
    for _ in range(STARTS):
        bench.down(name)
        measured.append(measure(bench.up(name)))
    return {metric: statistics.mean(one[metric] for one in measured) for metric in measured[0]}


def stream(bench, contender, reverse):
    outcome = iperf.measure(bench, contender, WAN4, bench.lab.wan, SECONDS, reverse, 1)
    return {metric: outcome[metric] for metric in ("rate", "cpu")}


def connections(bench, contender, parallel):
    load = bench.serving()
    before = contender.cpu()
    told = bench.json(contender, [load, "one-shots", f"--to={WAN4}", f"--parallel={parallel}", f"--seconds={SECONDS}"], SECONDS + 20)
    return {"connections": told["rate"], "cpu": (contender.cpu() - before) / told["count"] * 100000}


def rows(bench):
    names = bench.only([OURS, WATCHED], "watched")
    for row, reverse in STREAMS.items():
        yield Row(row, names, lambda name, reverse=reverse: of_starts(bench, name, lambda one: stream(bench, one, reverse)))
    for row, parallel in CONNECTIONS.items():
        yield Row(row, names, lambda name, parallel=parallel: of_starts(bench, name, lambda one: connections(bench, one, parallel)))
