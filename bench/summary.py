"""What comes out of a run: medians, spread and tables. Works on the JSON alone, without the lab.

A result is one measurement of one contender in one round: group, row, mtu (None where it makes no difference), contender,
round, and either metrics (name to number) or failed (a text). `rows` describes what the metrics of a group are.
"""

import dataclasses
import statistics

PEERS = ("slirp4netns", "pasta", "rootlesskit builtin")
OURS = "slirp-forwarder"


@dataclasses.dataclass(frozen=True)
class Metric:
    unit: str
    more_is_better: bool = True
    digits: int = 2


class Summary:
    """Medians over the rounds; every look-up answers None where nothing was measured."""

    def __init__(self, run):
        self.run = run
        self.values, self.failures = {}, {}
        for result in run["results"]:
            place = (result["group"], result["row"], result["mtu"], result["contender"])
            if "failed" in result:
                self.failures.setdefault(place, []).append(result["failed"])
                continue
            for metric, value in result["metrics"].items():
                if value is not None:
                    self.values.setdefault((*place, metric), []).append(value)

    def get(self, group, row, mtu, contender, metric):
        """The median. Native has no MTU of its own: it answers at any."""
        for at in (mtu, None, *([1500] if contender == "native" else [])):
            found = self.values.get((group, row, at, contender, metric))
            if found:
                return statistics.median(found)
        return None

    def spread(self, group, row, mtu, contender, metric):
        found = self.values.get((group, row, mtu, contender, metric))
        return (min(found), statistics.median(found), max(found), len(found)) if found else None

    def best_peer(self, group, row, mtu, metric, more_is_better=True):
        """(name, median) of the best of the peers, or None."""
        found = {name: self.get(group, row, mtu, name, metric) for name in PEERS}
        found = {name: value for name, value in found.items() if value is not None}
        if not found:
            return None
        name = (max if more_is_better else min)(found, key=found.get)
        return name, found[name]

    def places(self, group):
        """(row, mtu, contender) of the group, in the order of measuring, those included that only failed."""
        return list(dict.fromkeys((result["row"], result["mtu"], result["contender"]) for result in self.run["results"]
                                  if result["group"] == group))


def merge(runs):
    """Several runs as one: of a group that is in more than one of them, the last counts."""
    merged = {**runs[-1], "results": [], "groups": {}, "absent": []}
    for number, run in enumerate(runs):
        later = {group for other in runs[number + 1:] for group in other["groups"]}
        merged["groups"] |= {name: kind for name, kind in run["groups"].items() if name not in later}
        merged["results"] += [result for result in run["results"] if result["group"] not in later]
        merged["absent"] += [line for line in run.get("absent", []) if line not in merged["absent"]]
    return merged


def shown(value, digits):
    return f"{value:.{digits}f}" if value is not None else "–"


def _line(summary, group, metrics, row, mtu, contender):
    main, *others = [name for name in metrics if summary.spread(group, row, mtu, contender, name)] or list(metrics)
    spread = summary.spread(group, row, mtu, contender, main)
    failures = summary.failures.get((group, row, mtu, contender), [])
    if spread is None:
        return f"  {contender:24} no figure: {failures[-1] if failures else 'it said none'}"
    lowest, middle, highest, count = spread
    digits = metrics[main]["digits"]
    bases = {"native": summary.get(group, row, mtu, "native", main), "veth": summary.get(group, row, mtu, "veth", main)}
    peer = summary.best_peer(group, row, mtu, main, metrics[main]["more_is_better"])
    bases["best peer"] = peer and peer[1]
    ratios = "".join(f"{middle / base:9.2f} of {name}" if base else f"{'–':>9} of {name}" for name, base in bases.items())
    more = "".join(f"  {name} {shown(summary.get(group, row, mtu, contender, name), metrics[name]['digits'])} {metrics[name]['unit']}"
                   for name in others if summary.get(group, row, mtu, contender, name) is not None)
    failed = f"  ({len(failures)} failed: {failures[-1]})" if failures else ""
    return (f"  {contender:24} {shown(middle, digits):>10} {metrics[main]['unit']:9} {shown(lowest, digits):>10} to {shown(highest, digits):10}"
            f"{ratios}{more}  [{count}]{failed}")


def tables(run):
    """All results as text: median, spread, ratios, and the other metrics of each row."""
    summary = Summary(run)
    lines = []
    for group, description in run["groups"].items():
        lines += ["", f"== {group}: {description['title']}"]
        before = None
        places = summary.places(group)
        heads = list(dict.fromkeys(place[:2] for place in places))
        for row, mtu, contender in sorted(places, key=lambda place: heads.index(place[:2])):
            head = f"{row}{f', MTU {mtu}' if mtu else ''}"
            if head != before:
                lines.append(head)
                before = head
            lines.append(_line(summary, group, description["metrics"], row, mtu, contender))
    lines += ["", *(f"note: {line}" for line in run.get("absent", []))]
    return "\n".join(lines)
