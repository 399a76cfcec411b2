#!/usr/bin/python3
"""clang-tidy over src/, many sources per run: most of a run's time goes into the headers that all of them include.

Sources of a folder are included by one generated file and looked at together. Where they do not compile together (two
files with the same name for something of their own), the group is halved. The generated files are named
UnifiedSource: by that name the analyzer knows that what they include is code to look at, not headers.

    scripts/tidy.py BUILD [FOLDER...]      BUILD has compile_commands.json, as `make build` leaves it
"""
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINES_AT_ONCE = 1500  # more takes a job more memory, and leaves the other CPUs nothing to do at the end

UNIFIED = ["--checks=-bugprone-suspicious-include"]  # what the generated files are made of


def flags_of(build):
    """What decides how a file is read, of the compiler's options: warnings are the compiler's own business."""
    commands = json.loads((build / "compile_commands.json").read_text())
    flags = {}
    for entry in commands:
        if pathlib.Path(entry["file"]).is_relative_to(ROOT / "src"):
            words = shlex.split(entry["command"])
            flags.update({w: None for w in words if w.startswith(("-D", "-U", "-I", "-std="))})
    return list(flags)


def groups_of(folder):
    group, lines = [], 0
    for source in sorted(folder.glob("*.cc")):
        length = source.read_text().count("\n")
        if group and lines + length > LINES_AT_ONCE:
            yield group
            group, lines = [], 0
        group.append(source)
        lines += length
    if group:
        yield group


def together(group, directory):
    """One file that stands for the group."""
    if len(group) == 1:
        return group[0]
    path = directory / f"UnifiedSource-{group[0].parent.name}-{group[0].stem}-{len(group)}.cc"
    path.write_text("".join(f'#include "{source}"\n' for source in group))
    return path


def look_at(group, directory, flags):
    """(whether all is well, what was said)."""
    path = together(group, directory)
    if len(group) > 1 and subprocess.run(["clang++-16", "-fsyntax-only", "-w", *flags, path],
                                         capture_output=True).returncode:
        half = len(group) // 2
        results = [look_at(part, directory, flags) for part in (group[:half], group[half:])]
        return all(good for good, _ in results), "".join(said for _, said in results)
    began = time.monotonic()
    run = subprocess.run(["clang-tidy-16", "--quiet", *UNIFIED, f"--config-file={ROOT}/.clang-tidy", path, "--", *flags], cwd=ROOT, capture_output=True, text=True)
    if os.environ.get("TIDY_TIMES"):
        print(f"{time.monotonic() - began:6.1f} s  {len(group):2} {path.name} {run.returncode}", file=sys.stderr, flush=True)
    said = run.stdout
    if run.returncode and not said.strip():
        said = f"tidy: clang-tidy-16 failed on {path}: {run.stderr.strip()}\n"
    return run.returncode == 0, said


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    directory = build / "tidy"
    directory.mkdir(exist_ok=True)
    folders = sys.argv[2:] or sorted(p.name for p in (ROOT / "src").iterdir() if p.is_dir())
    flags = flags_of(build)
    groups = [group for folder in folders for group in groups_of(ROOT / "src" / folder)]
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        good = True
        for well, said in pool.map(lambda group: look_at(group, directory, flags), groups):
            good = good and well
            print(said, end="", flush=True)
    sys.exit(0 if good else 1)


main()
