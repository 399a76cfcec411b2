#!/usr/bin/env python3
"""Every long option of every --help stands in the man page, and every one of the man page in some --help.

    man_page_test.py PROGRAM MANPAGE
"""

import re
import subprocess
import sys


SECTION = ".Sh CALLED AS SLIRP4NETNS"


def options_of_help(program, name, calls, pattern):
    found = set()
    for words in calls:
        done = subprocess.run([name, *words], executable=program, check=True, capture_output=True, text=True)
        for line in done.stdout.splitlines():
            if match := re.match(pattern, line):
                found.add(match.group(1))
    return found


def options_of_man_page(text):
    return {"--" + name for name in re.findall(r"^\.It Fl (?:\w , (?:Fl )?)?-([a-z0-9-]+)", text, re.MULTILINE)}


def complaints(helped, described, least):
    assert len(helped) > least, f"--help could not be read: {helped}"
    yield from (f"{option} is missing in the man page" for option in sorted(helped - described))
    yield from (f"{option} is in the man page, but in no --help" for option in sorted(described - helped))


def main():
    program = sys.argv[1]
    with open(sys.argv[2], encoding="utf-8") as page:
        text = page.read()
    before, section, after = text.partition(SECTION)
    assert section, f"{SECTION} is missing"
    own, end, after = after.partition("\n.Sh ")
    calls = [["--help"], *([word, "--help"] for word in ("run", "attach", "x", "ls", "port", "flows", "top", "policy", "capture"))]
    found = [*complaints(options_of_help(program, "slirp-forwarder", calls, r"  (?:-\w,)?(--[a-z0-9-]+)"),
                         options_of_man_page(before + after), 20),
             *complaints(options_of_help(program, "slirp4netns", [["--help"]], r"  (?:-\w, )?(--[a-z0-9-]+)"),
                         options_of_man_page(own), 15)]
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
