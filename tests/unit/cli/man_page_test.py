#!/usr/bin/env python3
"""Every long option of every --help stands in the man page, and every one of the man page in some --help.

    man_page_test.py PROGRAM MANPAGE
"""

import re
import subprocess
import sys


def options_of_help(program):
    found = set()
    for words in (["--help"], ["run", "--help"], ["attach", "--help"], ["x", "--help"], ["ls", "--help"], ["port", "--help"],
                  ["flows", "--help"]):
        text = subprocess.run([program, *words], check=True, capture_output=True, text=True).stdout
        for line in text.splitlines():
            if match := re.match(r"  (?:-\w,)?(--[a-z0-9-]+)", line):
                found.add(match.group(1))
    return found


def options_of_man_page(path):
    with open(path, encoding="utf-8") as page:
        return {"--" + name for name in re.findall(r"^\.It Fl (?:\w , (?:Fl )?)?-([a-z0-9-]+)", page.read(), re.MULTILINE)}


def main():
    helped = options_of_help(sys.argv[1])
    described = options_of_man_page(sys.argv[2])
    assert len(helped) > 20, f"--help could not be read: {helped}"
    for option in sorted(helped - described):
        print(f"{option} is missing in the man page")
    for option in sorted(described - helped):
        print(f"{option} is in the man page, but in no --help")
    return 0 if helped == described else 1


if __name__ == "__main__":
    sys.exit(main())
