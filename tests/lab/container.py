"""A namespace that somebody else made, and a program that is started with --ready-fd to give it a network."""

import contextlib
import os
import re
import select
import signal
import subprocess

from .guest import wait_for


class Container:
    """`unshare` held open by a sleeping process of the unprivileged user."""

    def __init__(self, lab, seconds="infinity"):
        self.lab = lab
        pid_file = lab.path("container-pid")
        script = f"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep {seconds}"
        self.process = lab.user_popen(["unshare", "-rmn", "sh", "-c", script])
        wait_for(pid_file.exists, 10, "the container")
        self.pid = int(pid_file.read_text())

    def command(self, argv):
        if isinstance(argv, str):
            argv = ["bash", "-c", argv]
        return [*self.lab.enter_as_root(self.pid, "user", "mount", "net"), *argv]

    def run(self, argv, check=True, timeout=20):
        done = subprocess.run(self.command(argv), capture_output=True, text=True, timeout=timeout, check=False,
                              env=self.lab.user_environment())
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def out(self, argv, timeout=20):
        return self.run(argv, timeout=timeout).stdout

    def python(self, code, timeout=30):
        return self.out(["/usr/bin/python3", "-c", code], timeout)

    def popen(self, argv, **options):
        return self.lab.popen(self.command(argv), env=self.lab.user_environment(), **options)

    def kill(self):
        self.lab.stop(self.process, signal.SIGKILL)


def start_ready(lab, argv, fds=(), timeout=15, **options):
    """The program, once it has written its "1". `argv` has {ready} where the descriptor's number belongs."""
    ready, write = os.pipe()
    argv = [word.replace("{ready}", str(write)) for word in argv]
    process = lab.user_popen(argv, pass_fds=[write, *fds], stderr=subprocess.PIPE, **options)
    os.close(write)
    said = os.read(ready, 10) if select.select([ready], [], [], timeout)[0] else b"nothing"
    more = os.read(ready, 10) if said == b"1" and select.select([ready], [], [], 1)[0] else b""
    os.close(ready)
    if said != b"1" or more != b"":
        lab.stop(process, signal.SIGKILL) if said == b"nothing" else process.wait(5)
        raise AssertionError(f"{argv} said {said + more}, status {process.returncode}")
    return process


def stop_ready(lab, process):
    """Ends a program of start_ready(). It may have complained, but not about a fault that a sanitizer sees."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
    text = "" if process.poll() is None or process.stderr.closed else process.stderr.read()
    lab.stop(process, signal.SIGKILL)
    assert not re.search(r"Sanitizer|runtime error:|terminate called", text), text[-8000:]
