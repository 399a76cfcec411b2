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


def binaries(build_or_binary):
    """The program under test and the delay line, which is beside it in its build directory."""
    program = build_or_binary or os.environ.get("SLIRP_FORWARDER") or str(world.REPOSITORY / "build/slirp-forwarder")
    folders = [pathlib.Path(program).resolve().parent, world.REPOSITORY / "build", world.REPOSITORY / "build-asan"]
    lines = [os.environ.get("DELAY_LINE")] + [str(folder / "tests/lab/delay_line") for folder in folders]
    return {
        "slirp-forwarder": program,
        "delay_line": next((line for line in lines if line and pathlib.Path(line).is_file()), None),
    }


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
