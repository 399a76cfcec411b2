"""What a forwarder costs while nothing happens, and how soon it is ready.

Wake-ups are switches to any of its threads, in the quieter of two windows of four seconds: the kernel inside speaks now and then by
itself (neighbours, multicast groups), which no forwarder can help. From start to ready: attached to a namespace that exists, until
the program says that the network works, by its ready descriptor or, pasta, by going into the background; and with a namespace of
its own, until the first output of a command that it runs there.
"""

import contextlib
import os
import signal
import time

import contenders
from lab.guest import wait_for
from runner import Row
from summary import OURS, Metric

TITLE = "idle: private memory, wake-ups, and from start to ready"
METRICS = {"ready": Metric("ms", more_is_better=False, digits=1), "memory": Metric("MiB", more_is_better=False),
           "wakeups": Metric("wake-ups/s", more_is_better=False)}
SETTLED, WINDOW = 5, 4


def cost(bench, name):
    contender = bench.up(name, kind="idle", make=lambda: contenders.ALL[name](bench.lab, 1500))
    time.sleep(SETTLED)
    windows = []
    for _ in range(2):
        before = contender.switches()
        time.sleep(WINDOW)
        windows.append((contender.switches() - before) / WINDOW)
    return {"memory": contender.private_memory() / 2**20, "wakeups": min(windows)}


def command(bench, name, pid, pid_file):
    """(what says that it is ready, the command line)."""
    if name == OURS:
        return "fd", [bench.lab.binary, "attach", "--configure", "--ready-fd", "3", str(pid)]
    if name == "slirp4netns":
        return "fd", ["slirp4netns", "--configure", "--disable-host-loopback", "--ready-fd=3", str(pid), "tap0"]
    return "exit", ["pasta", "--config-net", "--no-map-gw", "-q", "-i", "h-wan", "-m", "1500", "-I", "tap0", "-P", str(pid_file), str(pid)]


def run_command(bench, name):
    """The command line that runs a command in a namespace of its own."""
    if name == OURS:
        return [bench.lab.binary, "run", "--", "echo", "ready"]
    if name == "pasta":
        return ["pasta", "--config-net", "--no-map-gw", "-q", "-i", "h-wan", "-m", "1500", "-I", "tap0", "--", "echo", "ready"]
    return ["rootlesskit", "--net=slirp4netns", "--mtu=1500", "--disable-host-loopback", "--copy-up=/etc", "echo", "ready"]


def start_with_command(bench, name):
    argv = [bench.serving(), "time-start", "--until=output", "--", *run_command(bench, name)]
    return {"ready": bench.json(contenders.Native(bench.lab), argv, 20)["milliseconds"]}


def start(bench, name):
    load = bench.serving()
    pid_file, background = bench.lab.path("idle-pid"), bench.lab.path("idle-background")
    script = f"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep infinity"
    holder = bench.lab.user_popen(["unshare", "-rmn", "sh", "-c", script])
    try:
        wait_for(pid_file.exists, 10, "the namespace")
        until, argv = command(bench, name, int(pid_file.read_text()), background)
        native = contenders.Native(bench.lab)
        return {"ready": bench.json(native, [load, "time-start", f"--until={until}", "--", *argv], 20)["milliseconds"]}
    finally:
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(background.read_text()), signal.SIGTERM)
        bench.lab.stop(holder)


def rows(bench):
    names = bench.only([OURS, "slirp4netns", "pasta"], "idle", native="forwards nothing", veth="has no process")
    yield Row("start to ready", names, lambda name: start(bench, name))
    commanding = [name for name in (OURS, "rootlesskit builtin", "pasta") if name in bench.names]
    yield Row("start to a command's output", commanding, lambda name: start_with_command(bench, name))
    yield Row("while nothing happens", names, lambda name: cost(bench, name), rounds=2, alone=True, together=True)
