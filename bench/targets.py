"""Every target of the suite beside what was measured: reached or not, with the figure. Works on the JSON alone.

    /usr/bin/python3 bench/targets.py build/bench/bench-*.json      (of a group that is in several runs, the last counts)
"""

import dataclasses
import json
import pathlib
import sys

from summary import OURS, PEERS, Summary, merge

STREAMS = {1: "1 stream", 8: "8 streams", 128: "128 streams"}
OF_VETH = {"to wan": 0.80, "from wan": 0.85}


@dataclasses.dataclass
class Verdict:
    where: str
    wanted: str
    figure: str = "not measured"
    reached: bool | None = None  # None: not measured


class Judge:
    def __init__(self, run):
        self.summary = Summary(run)
        self.verdicts = []

    def ours(self, group, row, mtu, metric):
        return self.summary.get(group, row, mtu, OURS, metric)

    def peers_failed(self, group, row, mtu):
        """Every peer that was tried has no figure at all: whatever ours is, is more."""
        places = [(name, (group, row, mtu, name)) for name in PEERS]
        return any(place in self.summary.failures for _, place in places)

    def add(self, place, wanted, value, bound, more=True, said=None):
        """`value` against `bound`; `said` is what to show for it. What was tried and has no figure is not reached."""
        verdict = Verdict(title(place), wanted)
        failures = self.summary.failures.get((*place, OURS))
        if value is None and failures:
            verdict.reached, verdict.figure = False, f"no figure: {failures[-1]}"
        elif value is not None and bound is not None:
            verdict.reached = value >= bound if more else value <= bound
            verdict.figure = said or f"{value:.4g}"
        elif value is not None and said:
            verdict.figure, verdict.reached = said, True
        self.verdicts.append(verdict)

    def ratio(self, place, metric, base, factor, base_name, more=True):
        """Ours at least (or at most) `factor` times `base`."""
        group, row, mtu = place
        value = self.ours(group, row, mtu, metric)
        said = f"{value / base:.2f} times" if value is not None and base else None
        bound = None if base is None else factor * base
        self.add(place, f"{metric}: at {'least' if more else 'most'} {factor:g} times {base_name}", value, bound, more, said)

    def against_peer(self, place, metric, factor, of_veth=None, more=True):
        """At least `factor` times the best peer, or `of_veth` of veth where that is less."""
        group, row, mtu = place
        value, peer = self.ours(group, row, mtu, metric), self.summary.best_peer(group, row, mtu, metric, more)
        veth = self.summary.get(group, row, mtu, "veth", metric) if of_veth else None
        wanted = f"{metric}: at {'least' if more else 'most'} {factor:g} times the best peer{f', or {of_veth:g} of veth' if of_veth else ''}"
        if peer is None:
            failed = value is not None and self.peers_failed(*place)
            self.add(place, wanted, value, None, more, "no peer has a figure" if failed else None)
            return
        bound, said = factor * peer[1], f"{value / peer[1]:.2f} times {peer[0]}" if value is not None and peer[1] else None
        if veth is not None:
            bound = min(bound, of_veth * veth)
            said = f"{said}, {value / veth:.2f} of veth" if said else None
        self.add(place, wanted, value, bound, more, said)


def title(place):
    group, row, mtu = place
    return f"{group}: {row}{f', MTU {mtu}' if mtu else ''}"


def _streams(judge):
    get = judge.summary.get
    for mtu in (1500, 65520):
        for direction, part in OF_VETH.items():
            for streams in STREAMS.values():
                place = ("streams", f"{direction}, {streams}", mtu)
                judge.ratio(place, "rate", get(*place, "veth", "rate"), part, "veth")
                if mtu == 1500:
                    judge.ratio(place, "rate", get(*place, "slirp4netns", "rate"), 20 if direction == "to wan" else 8, "slirp4netns")
                else:
                    judge.against_peer(place, "rate", 1.5)
    for mtu in (1500, 65520):
        for direction in OF_VETH:
            base = judge.ours("streams", f"{direction}, 1 stream", mtu, "rate")
            judge.ratio(("streams", f"{direction}, 1 stream, IPv6", mtu), "rate", base, 0.95, "IPv4")
    for mtu, factor in ((1500, 0.1), (65520, 0.5)):
        for direction in OF_VETH:
            judge.against_peer(("streams", f"{direction}, 1 stream", mtu), "cpu", factor, more=False)


def _amount(judge, place, metric, most, unit):
    value = judge.ours(*place, metric)
    judge.add(place, f"{metric}: at most {most:g} {unit}", value, most, more=False, said=None if value is None else f"{value:.4g} {unit}")


def _small(judge):
    for mtu in (1500, 65520):
        for direction in OF_VETH:
            _amount(judge, ("syscalls", direction, mtu), "calls", 2.5, "for 64 KiB")
    for direction in OF_VETH:
        judge.against_peer(("datagrams", direction, None), "rate", 2, of_veth=0.9)
    for direction in OF_VETH:
        judge.against_peer(("datagrams", f"{direction}, GSO", None), "rate", 5)
    for row in ("TCP, 1 at once", "TCP, 32 at once", "UDP, 1 at once", "UDP, 32 at once"):
        judge.against_peer(("requests", row, None), "rate", 1.3, of_veth=0.9)
        judge.against_peer(("requests", row, None), "p99", 1, more=False)
    for row in ("a connection each, 1 at once", "a connection each, 64 at once"):
        judge.against_peer(("requests", row, None), "rate", 1.5, of_veth=0.9)
    judge.against_peer(("dns", "queries, 32 at once", None), "rate", 2)
    for row in ("to the far end", "from the far end"):
        place = ("lossy", row, None)
        judge.ratio(place, "rate", judge.summary.get(*place, "native", "rate"), 0.9, "native")


def _watched(judge):
    """With an egress policy and a flow log, beside without."""
    for metric, rows in {"rate": ("to wan, 1 stream", "from wan, 1 stream"),
                         "connections": ("a connection each, 1 at once", "a connection each, 64 at once")}.items():
        for row in rows:
            place = ("watched", row, None)
            value, base = judge.summary.get(*place, f"{OURS} watched", metric), judge.ours(*place, metric)
            said = f"{value / base:.3f} times" if value is not None and base else None
            judge.add(place, f"{metric}: with rules and flow log at least 0.95 times without", value, base and 0.95 * base, said=said)


def _idle(judge):
    _amount(judge, ("connections", "idle connections", None), "bytes", 1024, "bytes each")
    place = ("idle", "while nothing happens", None)
    _amount(judge, place, "memory", 3, "MiB")
    _amount(judge, place, "wakeups", 0, "a second")
    for row in ("start to ready", "start to a command's output"):
        judge.against_peer(("idle", row, None), "ready", 0.5, more=False)
    many = ("many", "500 namespaces", None)
    _amount(judge, many, "memory", 3, "MiB each")
    for metric, factor in (("memory", 1.2), ("time", 1.5)):
        base = judge.ours("many", "50 namespaces", None, metric)
        judge.ratio(many, metric, base, factor, "that of 50, each", more=False)
    for row in ("keep-alive", "a connection each"):
        place = ("nginx", row, None)
        judge.ratio(place, "rate", judge.summary.get(*place, "slirp4netns", "rate"), 2, "slirp4netns")


def verdicts(run):
    judge = Judge(run)
    _streams(judge)
    _small(judge)
    _watched(judge)
    _idle(judge)
    return judge.verdicts


def table(run):
    """The verdicts of the groups that the run has."""
    every = verdicts(run)
    found = [verdict for verdict in every if verdict.where.split(":")[0] in run["groups"]] or every
    words = {True: "reached", False: "NOT reached", None: "–"}
    widths = [max(len(getattr(verdict, name)) for verdict in found) for name in ("where", "wanted")]
    lines = ["", "== targets"]
    lines += [f"{words[verdict.reached]:11}  {verdict.where:{widths[0]}}  {verdict.wanted:{widths[1]}}  {verdict.figure}" for verdict in found]
    counts = [sum(verdict.reached is value for verdict in found) for value in (True, False, None)]
    others = f"; {len(every) - len(found)} of other groups" if len(found) < len(every) else ""
    return "\n".join([*lines, f"{counts[0]} reached, {counts[1]} not, {counts[2]} not measured{others}"])


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    print(table(merge([json.loads(pathlib.Path(path).read_text()) for path in sys.argv[1:]])))


if __name__ == "__main__":
    main()
