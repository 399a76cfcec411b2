"""A guest: `slirp-forwarder run` holding a namespace open, and commands that run in it as its root."""

import contextlib
import os
import pathlib
import signal
import subprocess
import time


class GuestError(Exception):
    """The program under test did not give us a guest; the text has its own words."""


def wait_for(condition, timeout=10.0, what="the condition", every=0.02):
    """Poll until `condition()` is true; its value. For things outside our control that give no event."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain for {what}")
        time.sleep(every)


def said(done):
    """The lines on standard error, without the note that a user without subordinate ids gets at every start."""
    return [line for line in done.stderr.splitlines() if "/etc/subuid has no range" not in line]


class Guest:
    """Use as a context manager. `options` are those of `slirp-forwarder run`; $SF_TEST_OPTIONS has more of them, for
    all tests. `lacking` names what the kernel is to lack (lacking.py)."""

    def __init__(self, lab, *options, env=None, program=None, lacking=()):
        self.lab = lab
        self.options = options
        self.lacking = lacking
        self.env = env
        self.program = program or [lab.binary, "run", *os.environ.get("SF_TEST_OPTIONS", "").split()]
        self.pid = None
        self.process = None
        self.log = lab.path("forwarder-log")

    def __enter__(self):
        pid_file = self.lab.path("guest-pid")
        hold = f'echo $$ > {pid_file}.new && mv {pid_file}.new {pid_file}; exec sleep infinity'
        with open(self.log, "w", encoding="utf-8") as log:
            argv = self.lab.as_user([*self.program, *self.options, "--", "sh", "-c", hold])
            if self.lacking:
                argv = [pathlib.Path(__file__).with_name("lacking.py"), ",".join(self.lacking), "--", *argv]
            self.process = self.lab.popen(argv, env=self.lab.user_environment(self.env), stdout=log, stderr=log,
                                          stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            wait_for(lambda: pid_file.exists() or self.process.poll() is not None, 20, "the guest's start")
            if not pid_file.exists():
                raise GuestError(f"status {self.process.returncode}: {self.messages()}")
            self.pid = int(pid_file.read_text())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.lab.stop(self.process)

    def messages(self):
        return pathlib.Path(self.log).read_text(encoding="utf-8")

    def command(self, argv):
        return [*self.lab.enter_as_root(self.pid, "user", "mount", "net"), *(str(word) for word in argv)]

    def run(self, argv, timeout=30, check=True, **options):
        """A command as the guest's root; output is captured. A failure carries the output in the assertion."""
        if isinstance(argv, str):
            argv = ["bash", "-c", argv]
        options.setdefault("text", True)
        env = self.lab.user_environment({"HOME": "/tmp"})
        done = subprocess.run(self.command(argv), capture_output=True, timeout=timeout, check=False, env=env, **options)
        if check and done.returncode != 0:
            raise AssertionError(f"{argv} in the guest: status {done.returncode}\n{done.stdout}{done.stderr}\n{self.messages()}")
        return done

    def out(self, argv, timeout=30, **options):
        return self.run(argv, timeout, **options).stdout

    def popen(self, argv, **options):
        if isinstance(argv, str):
            argv = ["bash", "-c", argv]
        return self.lab.popen(self.command(argv), env=self.lab.user_environment(), **options)

    def python(self, code, timeout=30, check=True, **options):
        """A Python script in the guest; the answer is its standard output."""
        return self.run(["/usr/bin/python3", "-c", code], timeout, check, **options).stdout

    def counters(self):
        """The guest kernel's TCP and UDP counters, as nstat names them."""
        text = self.out("cat /proc/net/netstat /proc/net/snmp")
        lines = [line.split() for line in text.splitlines()]
        result = {}
        for names, values in zip(lines[::2], lines[1::2]):
            result |= {names[0].rstrip(":") + name: int(value) for name, value in zip(names[1:], values[1:])}
        return result

    @property
    def forwarder(self):
        """The PID of the process that moves the packets: the program that we started."""
        return self.process.pid


def own_children(pid):
    """PIDs of the processes that its first thread made and that are still there."""
    with contextlib.suppress(OSError):
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def children(pid):
    """PIDs of all descendants."""
    found = []
    for child in own_children(pid):
        found += [child, *children(child)]
    return found


def only_child(pid):
    """The one process that stays; others may come and go while programs start."""
    (child,) = wait_for(lambda: found if len(found := own_children(pid)) == 1 else None, 5, f"the one child of {pid}")
    return child


def kill(pid, number=signal.SIGKILL):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
