"""Many namespaces at once on one machine, each with a forwarder of its own (`run`): memory and time for each."""

import collections
import contextlib
import os
import subprocess
import time

from contender import memory, private_memory, process_name
from lab.guest import children
from runner import Failed, Row
from summary import OURS, Metric

TITLE = "many namespaces at once: for each of them"
METRICS = {"memory": Metric("MiB private", more_is_better=False), "pss": Metric("MiB with its share of shared pages", more_is_better=False),
           "time": Metric("ms", more_is_better=False, digits=1)}
COUNTS = (50, 100, 500)
AT_ONCE = 2 * (os.cpu_count() or 1)  # starting at the same time


def start(lab):
    argv = lab.as_user([lab.binary, "run", "--", "sh", "-c", "echo ready; exec sleep infinity"])
    return lab.popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=lab.user_environment())


def await_ready(process):
    if process.stdout.readline() != "ready\n":
        raise Failed(f"one of them did not start: status {process.poll()}")


def own(process):
    """The forwarder's processes, its child included; not the command that it runs."""
    return [pid for pid in (process.pid, *children(process.pid)) if process_name(pid).startswith("slirp-forw")]


def measure(lab, count):
    started, pending = [], collections.deque()
    begin = time.monotonic()
    try:
        for _ in range(count):
            if len(pending) >= AT_ONCE:
                await_ready(pending.popleft())
            process = start(lab)
            started.append(process)
            pending.append(process)
        while pending:
            await_ready(pending.popleft())
        took = time.monotonic() - begin
        pids = [pid for process in started for pid in own(process)]
        private, shared = sum(map(private_memory, pids)), sum(memory(pid, "Pss:") for pid in pids)
    finally:
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in started:
            lab.stop(process)
    return {"memory": private / count / 2**20, "pss": shared / count / 2**20, "time": took / count * 1000}


def rows(bench):
    names = bench.only([OURS], "many", peers="the target is an amount; `idle` compares one of each")
    for count in COUNTS:
        yield Row(f"{count} namespaces", names, lambda name, count=count: measure(bench.lab, count), rounds=1, alone=True)
