#!/usr/bin/python3
"""Runs the fuzz targets that `make build-fuzz` has built, for a given time.

    fuzz/run.py --seconds 60 --jobs 2             all targets, each for its share of the time, two at once
    fuzz/run.py --seconds 3600 engine             one of them
    fuzz/run.py --seconds 600 --keep engine       and what it learns becomes part of its corpus, minimised

What a target has found is kept in BUILD/found/NAME between runs; what breaks it in BUILD/crashes. The committed corpus is
read, and only --keep writes it. The CPU time of every target adds up in BUILD/cpu-seconds.json. Ends with 1 where
something broke.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
# Names, and the longest input that is made.
TARGETS = {"wire": 2048, "engine": 1024, "simulation": 512, "services": 1024, "control": 1024, "text": 512, "policy": 1024}


def command_of(build, name):
    program = build / "fuzz" / f"fuzz_{name}"
    if not program.exists():
        sys.exit(f"fuzz: {program} is not there; run `make build-fuzz` first")
    command = [program, f"-max_len={TARGETS[name]}", "-timeout=60", "-rss_limit_mb=2048", "-print_funcs=0"]
    dictionary = HERE / f"{name}.dict"
    return command + ([f"-dict={dictionary}"] if dictionary.exists() else [])


def fuzz(build, name, seconds):
    found = build / "found" / name
    crashes = build / "crashes"
    found.mkdir(parents=True, exist_ok=True)
    crashes.mkdir(exist_ok=True)
    log = build / f"fuzz-{name}.log"
    command = command_of(build, name) + [f"-max_total_time={seconds}", f"-artifact_prefix={crashes}/{name}-"]
    with log.open("wb") as output:
        child = subprocess.Popen([*command, found, HERE / "corpus" / name], stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    lines = log.read_text(errors="replace").splitlines()
    last = next((line for line in reversed(lines) if line[:1] == "#" and line[1:2].isdigit()), "not a single run")
    print(f"{name}: {usage.ru_utime + usage.ru_stime:.0f} s of CPU time; {last}", flush=True)
    if child.returncode != 0:
        print("\n".join(line for line in lines if not line.startswith("#")), flush=True)
    return name, usage.ru_utime + usage.ru_stime, child.returncode


def add_up(build, results):
    path = build / "cpu-seconds.json"
    sums = json.loads(path.read_text()) if path.exists() else {}
    for name, seconds, _ in results:
        sums[name] = round(sums.get(name, 0) + seconds)
    path.write_text(json.dumps(sums, indent=1, sort_keys=True) + "\n")


def keep(build, name):
    """The committed corpus becomes a smallest one with all that it and the runs have reached; crashes stay in it."""
    corpus = HERE / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*command_of(build, name), "-merge=1", folder, corpus, build / "found" / name], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for old in corpus.iterdir():
            if not old.name.startswith("found-"):
                old.unlink()
        for new in pathlib.Path(folder).iterdir():
            shutil.copy(new, corpus / new.name[:16])


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--build", type=pathlib.Path, default=HERE.parent / "build-fuzz")
    arguments.add_argument("--seconds", type=int, default=60, help="of the clock, for all of them together")
    arguments.add_argument("--jobs", type=int, default=1)
    arguments.add_argument("--keep", action="store_true")
    arguments.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)}; none: all")
    options = arguments.parse_args()
    names = options.targets or list(TARGETS)
    for name in names:
        if name not in TARGETS:
            sys.exit(f"fuzz: no target {name}; there are {', '.join(TARGETS)}")
    share = max(1, options.seconds * options.jobs // len(names))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(lambda name: fuzz(options.build, name, share), names))
    add_up(options.build, results)
    if options.keep:
        for name in names:
            keep(options.build, name)
    broken = [name for name, _, status in results if status != 0]
    if broken:
        sys.exit(f"fuzz: {', '.join(broken)} broke; the inputs are in {options.build / 'crashes'}")


if __name__ == "__main__":
    main()
