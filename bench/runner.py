"""Taking turns: every row of every group in each round, its contenders one after the other.

A group is a module below rows/ with TITLE, METRICS (the first one is the row's figure) and rows(bench). Contenders that
several rows use are kept up for the round (Bench.up), so that a round begins with fresh ones and starting them costs little.
"""

import contextlib
import dataclasses
import itertools
import json
import pathlib
import subprocess
import sys
import threading
import time
import typing

from lab import world
from lab.network import WAN4, WAN6

import contenders

FIRST_PORT, LAST_PORT = 20000, 29999
DNS4 = "198.51.100.60"


class Failed(OSError):
    """A measurement without a figure; the text says why."""


@dataclasses.dataclass
class Row:
    name: str
    contenders: typing.Sequence[str]
    measure: typing.Callable  # of a contender's name: a dictionary of metrics
    mtu: int | None = None
    rounds: int | None = None  # at most so many: for what does not depend on what else the machine does
    alone: bool = False  # no other contender is up: two instances of a program share pages
    together: bool = False  # all contenders at the same time: where none of them is near what the machine can do


class Bench:
    """What the groups measure with."""

    def __init__(self, lab, options):
        self.lab, self.options, self.seconds = lab, options, options.seconds
        self.names = options.contenders
        self.absent = []  # note()
        self._up = {}
        self._guard = threading.Lock()
        # Every run has its own port, so that nothing of the last one is in its way; no client's own port may be one.
        self.ports = itertools.cycle(range(FIRST_PORT, LAST_PORT + 1))
        lab.host.sysctl("net/ipv4/ip_local_reserved_ports", f"{FIRST_PORT}-{LAST_PORT}")
        self.load = str(world.BIN / "bench_load")
        self._server = None

    def serving(self):
        """The load tool, with its server up in wan. Its DNS server is the one of the lab's resolv.conf while the suite runs."""
        if self._server is None:
            if not pathlib.Path(self.load).exists():
                raise Failed("the load tool is not built: build the target bench_load, or set BENCH_LOAD to its path")
            self.lab.wan.ip("addr", "replace", f"{DNS4}/24", "dev", "w-host")
            argv = [self.load, "serve", f"--dns={DNS4}", "--", WAN4, WAN6]
            self._server = self.lab.popen(self.lab.wan.command(argv), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
            if self._server.stdout.readline() != "ready\n":
                raise Failed(f"the load tool's server did not start (status {self._server.poll()})")
        return self.load

    def close(self):
        self.down()
        if self._server is not None:
            self.lab.stop(self._server)

    def note(self, line):
        """Said once, at the end: who is left out and why, and how something was measured."""
        if line not in self.absent:
            self.absent.append(line)

    def only(self, wanted, group, **reasons):
        """Those of `wanted` that take part in this run; the others' reasons (by first word of the name) are noted once."""
        for name, why in reasons.items():
            self.note(f"{group}: {name}: {why}")
        return [name for name in wanted if name in self.names]

    def up(self, name, mtu=1500, kind="", make=None):
        """A contender that stays up until the round ends, or fails. `make` makes one that is not the usual one."""
        key = (name, mtu if contenders.ALL[name].needs_mtu or contenders.ALL[name].is_peer else None, kind)
        with self._guard:
            made = self._up.get(key)
        if made is None:
            made = make() if make else contenders.ALL[name](self.lab, mtu)
            made.__enter__()
            with self._guard:
                self._up[key] = made
        return made

    def down(self, name=None):
        """Ends those of one contender, or all."""
        with self._guard:
            chosen = [key for key in self._up if name in (None, key[0])]
            ended = [self._up.pop(key) for key in chosen]
        for contender in ended:
            with contextlib.suppress(Exception):
                contender.__exit__(None, None, None)

    def json(self, contender, argv, timeout):
        """The last line of what a tool prints inside, as JSON; what it says on failure becomes the reason."""
        process = subprocess.run(contender.command(argv), capture_output=True, text=True, timeout=timeout, check=False,
                                 env=self.lab.user_environment())
        if process.returncode != 0:
            raise Failed(f"{argv[0].rpartition('/')[2]}: status {process.returncode}: {(process.stderr or process.stdout).strip()[-200:]}")
        return json.loads(process.stdout.splitlines()[-1])


def _measure(bench, row, name):
    try:
        return {"metrics": row.measure(name)}
    except Exception as error:  # whatever it is: the others' figures are not to be lost with it
        bench.down(name)
        text = getattr(error, "stderr", None) or str(error) or type(error).__name__
        return {"failed": text.splitlines()[0][:300]}


def _all_together(bench, row, names):
    outcomes = {}
    threads = [threading.Thread(target=lambda name=name: outcomes.update({name: _measure(bench, row, name)})) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [(name, outcomes[name]) for name in names]


def _one_by_one(bench, row, names):
    for name in names:
        yield name, _measure(bench, row, name)


def _tell(label, metrics, outcome):
    if "failed" in outcome:
        print(f"{label}: no figure: {outcome['failed']}", flush=True)
        return
    main = next(name for name in metrics if outcome["metrics"].get(name) is not None)
    print(f"{label}: {outcome['metrics'][main]:.{metrics[main].digits}f} {metrics[main].unit}", file=sys.stderr, flush=True)


def take_turns(bench, groups, rounds, save):
    """`groups`: name to module. `save(results)` is called after each round, so that an end in the middle loses little."""
    rows, results = [], []
    for group, module in groups.items():
        try:
            rows += [(group, module, row) for row in module.rows(bench)]
        except Exception as error:
            bench.note(f"{group}: all: left out: {error}")
            print(f"{group}: left out: {error}", flush=True)
    for number in range(rounds):
        started, took = time.monotonic(), {}
        for group, module, row in rows:
            if row.rounds is not None and number >= row.rounds:
                continue
            began = time.monotonic()
            if row.alone:
                bench.down()
            turn = _all_together if row.together else _one_by_one
            for name, outcome in turn(bench, row, list(row.contenders)):
                results.append({"group": group, "row": row.name, "mtu": row.mtu, "contender": name, "round": number, **outcome})
                label = f"round {number + 1}/{rounds}  {group}: {row.name}{f', MTU {row.mtu}' if row.mtu else ''}  {name}"
                _tell(label, module.METRICS, outcome)
            took[group] = took.get(group, 0) + time.monotonic() - began
        bench.down()
        save(results)
        print(f"round {number + 1}/{rounds} took {time.monotonic() - started:.0f} s: "
              f"{', '.join(f'{group} {seconds:.0f}' for group, seconds in took.items())}", file=sys.stderr, flush=True)
    return results
