"""The benchmark suite: `make bench`, or a part of it: `make bench BENCH="streams requests" ROUNDS=3`.

All contenders run in one world and take turns within every round, so that what else the machine does hits them alike. At
the end: tables with medians, spread and ratios, a verdict on every target, the JSON that all of it comes from, and plots.
"""

import argparse
import dataclasses
import datetime
import importlib
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

import contenders  # noqa: E402
import plots  # noqa: E402
import runner  # noqa: E402
import summary  # noqa: E402
import targets  # noqa: E402
from lab import world  # noqa: E402
from lab.network import Lab  # noqa: E402

GROUPS = ("streams", "syscalls", "published", "nginx", "datagrams", "requests", "dns", "watched", "lossy", "idle", "connections", "many")


def parser():
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("groups", nargs="*", metavar="GROUP", help=f"what to measure: {' '.join(GROUPS)} (default: all)")
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--seconds", type=int, default=2, help="per measurement")
    made.add_argument("--contenders", nargs="+", default=list(contenders.ALL), choices=list(contenders.ALL))
    made.add_argument("--output", help="folder for the JSON; by default build/bench of the repository")
    return made


def run(lab, options):
    """Measures in `lab`; the answer is the run as it is in the JSON, and the file's path."""
    groups = {name: importlib.import_module(f"rows.{name}") for name in options.groups or GROUPS}
    bench = runner.Bench(lab, options)
    folder = pathlib.Path(options.output or world.REPOSITORY / "build/bench")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"bench-{datetime.datetime.now():%Y%m%d-%H%M%S}.json"
    told = {"versions": contenders.versions(), "settings": {key: getattr(options, key) for key in ("rounds", "seconds", "contenders")},
            "groups": {name: {"title": module.TITLE, "metrics": {key: dataclasses.asdict(metric) for key, metric in module.METRICS.items()}}
                       for name, module in groups.items()}}

    def save(results):
        told["results"], told["absent"] = results, bench.absent
        path.write_text(json.dumps(told, indent=1))

    try:
        with lab.resolv_conf(f"nameserver {runner.DNS4}\n"):
            runner.take_turns(bench, groups, options.rounds, save)
    finally:
        bench.close()
    return told, path


def main():
    made = parser()
    options = made.parse_args()
    if options.groups == ["help"]:
        for name in GROUPS:
            print(f"{name:12} {importlib.import_module(f'rows.{name}').TITLE}")
        return
    unknown = [name for name in options.groups if name not in GROUPS]
    if unknown:
        made.error(f"no such group: {' '.join(unknown)}; there are: {' '.join(GROUPS)}")
    if not world.inside():
        sys.exit("suite.py: start it with 'make bench', or: tests/lab/lab.py world -- /usr/bin/python3 bench/suite.py ...")
    absent = {name: contenders.ALL[name].missing() for name in options.contenders}
    options.contenders = [name for name, why in absent.items() if not why]
    for name, why in absent.items():
        if why:
            print(f"{name}: left out: {why}", flush=True)
    with Lab() as lab:
        told, path = run(lab, options)
    print(summary.tables(told))
    verdict = targets.table(told)
    print(verdict)
    path.with_suffix(".txt").write_text(f"{summary.tables(told)}\n{verdict}\n", encoding="utf-8")
    drawn = plots.write(told, path.with_suffix(""))
    print(f"\nRaw: {path}; this text: {path.with_suffix('.txt')}; {len(drawn)} plots: {path.with_suffix('')}")


if __name__ == "__main__":
    main()
