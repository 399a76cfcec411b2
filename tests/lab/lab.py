#!/usr/bin/python3
"""Use the lab by hand.

  lab.py shell              a shell as the unprivileged user in the lab's host namespace
  lab.py exec -- CMD ...    one command there ($SLIRP_FORWARDER is the program under test)
  lab.py root -- CMD ...    one command as the world's root, with the lab built (netns: host wan far slow)
  lab.py pytest ARGS        pytest in the world (the tests build the lab themselves)
  lab.py world -- CMD ...   one command as the world's root, nothing built

The program under test: --binary PATH, else $SLIRP_FORWARDER, else build/slirp-forwarder.
"""

import argparse
import os
import pathlib
import signal
import sys

sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])

from lab import world  # noqa: E402


# What runs in the lab besides the program, and where it is in its build directory.
BESIDE = {"delay_line": "tests/lab/delay_line", "bench_load": "bench/load/bench_load", "h3_get": "tests/lab/h3_get"}


def binaries(build_or_binary):
    """The program under test, and what was built with it ($DELAY_LINE or $BENCH_LOAD: elsewhere)."""
    program = build_or_binary or os.environ.get("SLIRP_FORWARDER") or str(world.REPOSITORY / "build/slirp-forwarder")
    folders = [pathlib.Path(program).resolve().parent, world.REPOSITORY / "build", world.REPOSITORY / "build-asan"]
    found = {"slirp-forwarder": program}
    for name, place in BESIDE.items():
        candidates = [os.environ.get(name.upper()), *(str(folder / place) for folder in folders)]
        found[name] = next((path for path in candidates if path and pathlib.Path(path).is_file()), None)
    return found


def in_lab(action, command):
    from lab.network import Lab

    with Lab() as lab:
        process = lab.popen(command) if action == "root" else lab.user_popen(command, cwd=world.HOME)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the command's business
        code = process.wait()
        return code if code >= 0 else 128 - code


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary")
    parser.add_argument("action", choices=["shell", "exec", "root", "pytest", "world"])
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if options.action == "shell":
        command = command or ["/bin/bash", "-i"]
    elif options.action == "pytest":
        command = ["/usr/bin/python3", "-m", "pytest", *command]
    if not command:
        parser.error("a command is missing")
    if options.action in ("pytest", "world"):
        return world.run(command, binaries(options.binary))
    if not world.inside():
        again = ["/usr/bin/python3", os.path.abspath(__file__), options.action, "--", *command]
        return world.run(again, binaries(options.binary))
    return in_lab(options.action, command)


if __name__ == "__main__":
    sys.exit(main())
