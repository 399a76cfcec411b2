"""What the benchmarks share: the command line, taking turns, and one form of table and JSON.

A result is a dictionary: measurement, mtu (None where it makes no difference), contender, round, value, cpu (seconds of
the forwarder's CPU per unit of work, None for native), and whatever else is worth keeping in the JSON.
"""

import argparse
import datetime
import json
import pathlib
import statistics
import subprocess
import sys

from lab import world

import contenders


def parser(description, names):
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--seconds", type=int, default=4, help="per measurement (a stream has one more to warm up)")
    made.add_argument("--mtu", type=int, nargs="+", default=[1500, 65520])
    made.add_argument("--contenders", nargs="+", default=names, choices=names)
    made.add_argument("--output", help="folder for the JSON; by default the one in the repository's build/bench")
    return made


def inside_or_exit(script):
    if not world.inside():
        sys.exit(f"{script}: start it with 'make bench', or: tests/lab/lab.py world -- /usr/bin/python3 bench/{script} ...")


def take_turns(cases, rounds):
    """All cases in every round. A case is (measurement, mtu, contender's name, unit, function to a result)."""
    results = []
    for number in range(rounds):
        for measurement, mtu, name, unit, measure in cases:
            label = f"round {number + 1}/{rounds}  {measurement}{f'  MTU {mtu}' if mtu else ''}  {name}"
            try:
                result = measure()
            except (OSError, subprocess.SubprocessError, AssertionError, KeyError, ValueError) as error:
                if not contenders.ALL[name].is_peer:
                    raise
                # A peer that ends in the middle is no reason to lose the others' figures; the table counts its runs.
                print(f"{label}: no figure: {error}", flush=True)
                continue
            results.append({"round": number, "measurement": measurement, "mtu": mtu, "contender": name, "unit": unit, **result})
            print(f"{label}: {result['value']:.2f} {unit}", file=sys.stderr, flush=True)
    return results


def summarize(results):
    groups = {}
    for row in results:
        groups.setdefault((row["measurement"], row["mtu"], row["contender"]), []).append(row)
    table = []
    for (measurement, mtu, name), rows in groups.items():
        values = [row["value"] for row in rows]
        cpu = [row["cpu"] for row in rows if row["cpu"] is not None]
        table.append({"measurement": measurement, "mtu": mtu, "contender": name, "unit": rows[0]["unit"], "runs": len(rows),
                      "median": statistics.median(values), "lowest": min(values), "highest": max(values),
                      "cpu": statistics.median(cpu) if cpu else None, "failures": sum(row.get("failures", 0) for row in rows)})
    return table


def median(table, measurement, mtu, name):
    """Of this contender at this MTU, or at any (the best) where that makes no difference to one of the two."""
    rows = [row for row in table if (row["measurement"], row["contender"]) == (measurement, name)]
    at_mtu = [row["median"] for row in rows if row["mtu"] == mtu] or [row["median"] for row in rows if mtu is None or row["mtu"] is None]
    return max(at_mtu, default=None)


def print_table(table, bases, cpu_unit):
    """`bases`: names of the contenders to compare with."""
    order = list(dict.fromkeys(row["measurement"] for row in table))
    names = list(contenders.ALL)
    width = max(len(name) for name in [*order, "measurement"])
    heads = " ".join(f"{'/' + name.split()[0][:11]:>12}" for name in bases)
    print(f"\n{'measurement':{width}} {'MTU':>5} {'contender':24} {'median':>9} {'lowest':>9} {'highest':>9} {'unit':7} {heads} {cpu_unit:>12} runs")
    for row in sorted(table, key=lambda row: (order.index(row["measurement"]), row["mtu"] or 0, names.index(row["contender"]))):
        values = " ".join(f"{row[key]:9.2f}" for key in ("median", "lowest", "highest"))
        found = [median(table, row["measurement"], row["mtu"], name) for name in bases]
        ratios = " ".join(f"{row['median'] / base:12.2f}" if base else f"{'–':>12}" for base in found)
        cpu = f"{row['cpu']:12.3f}" if row["cpu"] is not None else f"{'–':>12}"
        failures = f"  {row['failures']} failed" if row["failures"] else ""
        print(f"{row['measurement']:{width}} {row['mtu'] or '–':>5} {row['contender']:24} {values} {row['unit']:7} {ratios} {cpu} {row['runs']:4}{failures}")


def save(stem, options, results, table):
    folder = pathlib.Path(options.output or world.REPOSITORY / "build/bench")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-{datetime.datetime.now():%Y%m%d-%H%M%S}.json"
    settings = {key: getattr(options, key) for key in ("rounds", "seconds", "mtu", "contenders")}
    path.write_text(json.dumps({"versions": contenders.versions(), "settings": settings, "rounds": results, "summary": table}, indent=1))
    return path
