#!/usr/bin/python3
"""Which lines of src/ the tests of a build with SF_COVERAGE have run: a table by folder, and the files with the least.

  coverage.py BUILD
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[1] / "src"
WORST = 10


def lines_of(record):
    """gcov's lines of one object file: (file below src/, line, times)."""
    done = subprocess.run(["gcov", "--json-format", "--stdout", record], capture_output=True, text=True, check=False,
                          cwd=pathlib.Path(record).parent)
    found = []
    for text in done.stdout.splitlines():
        for file in json.loads(text)["files"]:
            path = pathlib.Path(os.path.normpath(os.path.join(json.loads(text)["current_working_directory"], file["file"])))
            if path.is_relative_to(SOURCE):
                found += [(str(path.relative_to(SOURCE)), line["line_number"], line["count"]) for line in file["lines"]]
    return found


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    # Objects without .gcda were never run; gcov counts their lines from the .gcno.
    records = sorted(str(path.resolve()) for path in pathlib.Path(sys.argv[1]).glob("CMakeFiles/sf_*.dir/src/**/*.gcno"))
    if not records:
        sys.exit(f"coverage: nothing was built with SF_COVERAGE in {sys.argv[1]}; run 'make coverage'")
    counts = collections.defaultdict(int)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for lines in pool.map(lines_of, records):
            for file, line, count in lines:
                counts[file, line] += count
    files = collections.defaultdict(lambda: [0, 0])
    for (file, _), count in counts.items():
        files[file][0] += count > 0
        files[file][1] += 1
    folders = collections.defaultdict(lambda: [0, 0])
    for file, (run, all_lines) in files.items():
        for name in (file.split("/")[0], "all"):
            folders[name][0] += run
            folders[name][1] += all_lines
    print(f"{'folder':<10} {'lines':>7} {'run':>7}")
    for name in sorted(folders, key=lambda name: (name == "all", name)):
        run, all_lines = folders[name]
        print(f"{name:<10} {all_lines:>7} {100 * run / all_lines:>6.1f}%")
    print("\nfiles with the most lines that were not run:")
    for file, (run, all_lines) in sorted(files.items(), key=lambda item: item[1][0] - item[1][1])[:WORST]:
        print(f"  src/{file}: {all_lines - run} of {all_lines}")


if __name__ == "__main__":
    main()
