"""System calls of the forwarder for 64 KiB of TCP payload, acknowledgements included: one stream, in runs of their own.

perf counts them without slowing the program, where the user may use it; otherwise strace counts, which makes everything slower,
so that more is done with one call.
"""

import contextlib
import os
import signal
import subprocess
import time

import iperf
from lab.network import WAN4
from runner import Failed, Row
from summary import OURS, Metric

TITLE = "system calls of the forwarder for 64 KiB of TCP payload (one stream)"
METRICS = {"calls": Metric("calls/64 KiB", more_is_better=False), "rate": Metric("Gbit/s")}
DIRECTIONS = {"to wan": False, "from wan": True}
MTUS = (1500, 65520)


def perf_works():
    """Whether it counts this process's own calls."""
    with contextlib.suppress(OSError):
        done = subprocess.run(["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "true"], capture_output=True, text=True, check=False)
        return done.returncode == 0 and done.stderr.split(",")[0].strip().isdigit()
    return False


class Counter:
    """Counts all system calls of some processes, their threads included, between __enter__ and __exit__: `calls`."""

    def __init__(self, lab, pids, with_perf):
        self.lab, self.with_perf, self.calls = lab, with_perf, None
        listed = ",".join(map(str, pids))
        self.argv = ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p", listed] if with_perf else \
            ["strace", "-c", "-f", "-U", "calls,name", *(word for pid in pids for word in ("-p", str(pid)))]

    def __enter__(self):
        self.process = self.lab.popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if not self.with_perf:
            self.process.stderr.readline()  # "Process N attached"
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=20)
        self.lab.stop(self.process)
        if self.with_perf:
            self.calls = int(said.split(",")[0]) if said.split(",")[0].isdigit() else None
        else:
            lines = [line.split() for line in said.splitlines() if line.startswith(" ")]
            self.calls = sum(int(words[0]) for words in lines if words[0].isdigit() and words[-1] != "total") or None
        if self.calls is None:
            raise Failed(f"{self.argv[0]} counted nothing: {' '.join(said.split())[:100]}")


def lasting(contender):
    """Its processes without those that only set it up and are about to end."""
    found = contender.pids()
    for _ in range(10):
        time.sleep(0.2)
        before, found = found, contender.pids()
        if before == found:
            break
    return found


def rows(bench):
    names = bench.only([OURS, "slirp4netns", "pasta"], "syscalls", native="forwards nothing", veth="forwards in the kernel")
    with_perf = perf_works()
    bench.note(f"syscalls: counted by {'perf' if with_perf else 'strace, which slows the programs'}")

    def measure(name, mtu, reverse):
        contender = bench.up(name, mtu)
        if not os.access("/usr/bin/perf" if with_perf else "/usr/bin/strace", os.X_OK):
            raise Failed("neither perf nor strace is installed")
        with Counter(bench.lab, lasting(contender), with_perf) as counter:
            outcome = iperf.measure(bench, contender, WAN4, bench.lab.wan, 1, reverse)
        return {"calls": counter.calls / (outcome["bytes"] / 65536), "rate": outcome["rate"]}

    for mtu in MTUS:
        for direction, reverse in DIRECTIONS.items():
            yield Row(direction, names, lambda name, mtu=mtu, reverse=reverse: measure(name, mtu, reverse), mtu, rounds=2)
