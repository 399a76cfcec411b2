"""What an idle TCP connection costs the forwarder, beyond the kernel's sockets: 10,000 of them, private memory before and after."""

import subprocess
import threading

import contenders
from lab.network import WAN4
from runner import Failed, Row
from summary import OURS, Metric

TITLE = "10,000 idle TCP connections: private memory of the forwarder"
METRICS = {"bytes": Metric("bytes each", more_is_better=False, digits=0)}
COUNT, LIMIT = 10000, 30


def measure(bench, name, count):
    load = bench.serving()
    with contenders.ALL[name](bench.lab, 1500) as contender:
        before = contender.private_memory()
        holding = bench.lab.popen(contender.command([load, "hold", f"--to={WAN4}", f"--count={count}"]), stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        watch = threading.Timer(LIMIT, holding.kill)
        watch.start()
        try:
            if holding.stdout.readline() != "ready\n":
                raise Failed(holding.stderr.read().strip() or f"it had not opened {count} connections after {LIMIT} s")
            after = contender.private_memory()
            told, _ = holding.communicate()
        finally:
            watch.cancel()
            bench.lab.stop(holding)
    still_open = int(told.split(":")[1].strip(" }\n"))
    if still_open != count:
        raise Failed(f"only {still_open} of {count} connections stayed open")
    return {"bytes": (after - before) / count}


def rows(bench):
    names = bench.only([OURS, "slirp4netns", "pasta"], "connections", native="forwards nothing", veth="has no process")
    yield Row("idle connections", names, lambda name: measure(bench, name, COUNT), rounds=1, alone=True)
