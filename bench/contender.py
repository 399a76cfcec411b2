"""What every contender of the benchmarks is; the one that needs nothing is `native`. contenders.py lists all of them.

A contender is a context manager: it is up between __enter__ and __exit__. `port`, where it is given, is published on
127.0.0.1 in the lab's `host`, and leads to the same port of the namespace.
"""

import os
import pathlib
import shutil
import subprocess

TICKS = os.sysconf("SC_CLK_TCK")


class Native:
    """Everything in `host` itself: what the program's sockets could reach at most."""

    name = "native"
    is_peer = False
    needs_mtu = False  # whether what it publishes goes through a TAP, so that the MTU makes a difference
    binary = None

    def __init__(self, lab, mtu=None, port=None):
        self.lab, self.mtu, self.port = lab, mtu, port

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    @classmethod
    def missing(cls):
        """Why it cannot take part, or None."""
        if cls.binary and not shutil.which(cls.binary):
            return f"{cls.binary} is not installed"
        return None

    def command(self, argv):
        """The command line that runs `argv` inside."""
        return self.lab.as_user(argv)

    def run(self, argv, timeout, check=True):
        env = self.lab.user_environment()
        return subprocess.run(self.command(argv), capture_output=True, text=True, timeout=timeout, check=check, env=env).stdout

    def popen(self, argv, log):
        """A server inside; what it says goes to the file `log`."""
        with open(log, "w", encoding="utf-8") as out:
            return self.lab.popen(self.command(argv), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                  env=self.lab.user_environment())

    def pids(self):
        """The processes that forward, helpers included."""
        return []

    def cpu(self):
        """Seconds of CPU that those have used so far."""
        return sum(_cpu(pid) for pid in self.pids())

    def private_memory(self):
        """Bytes that no other process shares with those; swapped ones included."""
        return sum(private_memory(pid) for pid in self.pids())

    def switches(self):
        """How often one of those was given a CPU so far."""
        return sum(_switches(pid) for pid in self.pids())


def process_name(pid):
    return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()


def _cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid, *kinds):
    """Bytes, summed over these lines of smaps_rollup."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(kinds))


def private_memory(pid):
    return memory(pid, "Private_", "Swap:")


def _switches(pid):
    total = 0
    for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
        lines = (line.split(":") for line in status.read_text().splitlines() if "ctxt_switches" in line)
        total += sum(int(value) for _, value in lines)
    return total
