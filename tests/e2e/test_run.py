"""`slirp-forwarder run`: identity, namespaces, exit status, signals, and what is left afterwards (nothing)."""

import json
import os
import pathlib
import signal
import subprocess

import pytest

from lab.guest import kill, wait_for
from lab.network import SINGLE_USER, WAN4, WAN6


def run(lab, *words, timeout=30, **options):
    return lab.user_run([lab.binary, "run", *words], timeout=timeout, **options)


@pytest.mark.parametrize("script,status", [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137),
                                           ("kill -TERM $$", 143), ("kill -SEGV $$", 139)])
def test_exit_status(lab, nothing_left, script, status):
    assert run(lab, "--", "sh", "-c", script).returncode == status


def test_command_not_found(lab, nothing_left):
    done = run(lab, "--", "no-such-command")
    assert done.returncode == 127
    assert done.stderr.count("no-such-command") == 1
    done = run(lab, "--", "/etc/passwd")
    assert done.returncode == 126


def test_shell_is_the_default(lab, nothing_left):
    done = run(lab, env={"SHELL": "/bin/sh"}, input="echo in a shell; id -u; exit 5\n")
    assert (done.stdout, done.returncode) == ("in a shell\n0\n", 5)


def test_options_end_at_the_command(lab):
    assert run(lab, "echo", "--mtu", "-x").stdout == "--mtu -x\n"


def test_standard_streams(lab):
    done = run(lab, "--", "sh", "-c", "cat; echo problem >&2", input="through\n")
    assert done.stdout == "through\n"
    assert "problem\n" in done.stderr


@pytest.mark.core
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_started_without_standard_streams(lab, nothing_left, closed):
    """What the program opens does not become one of them."""
    flow_log, page = lab.path("flow-log"), lab.path("page")
    inside = f"curl -s -o {page} http://{WAN4}/; echo text; echo words >&2"
    script = f"exec {lab.binary} run --flow-log {flow_log} -- sh -c '{inside}; exit 7' {closed}"
    assert lab.user_run(["bash", "-c", script]).returncode == 7
    assert page.read_text() == "hello from the lab\n"
    assert "ended" in [json.loads(line)["event"] for line in flow_log.read_text().splitlines()]


def test_ids_are_mapped(lab, ranges):
    """The user is root, and the subordinate range follows from 1 (as become-root maps them)."""
    start, count = pathlib.Path("/etc/subuid").read_text().strip().split(":")[1:]
    done = run(lab, "--", "cat", "/proc/self/uid_map", "/proc/self/gid_map")
    assert [line.split() for line in done.stdout.splitlines()] == [["0", "5000", "1"], ["1", start, count]] * 2
    assert run(lab, "--", "sh", "-c", "chown 1000:1000 /dev/null 2>/dev/null; setpriv --reuid=1000 --regid=1000 --clear-groups id -u"
               ).stdout == "1000\n"


def test_single_mapping_says_so(lab):
    """No ranges, or no newuidmap: the network works with one id, and one line says which and why."""
    if lab.mode == SINGLE_USER:
        done = run(lab, "--", "cat", "/proc/self/uid_map")
        assert done.stdout.split()[0::2] == ["0", "1"]
        assert len(done.stderr.splitlines()) == 1
        return
    for name in ("subuid", "subgid"):
        path = pathlib.Path("/etc") / name
        path.rename(path.with_suffix(".kept"))
    try:
        done = run(lab, "--", "cat", "/proc/self/uid_map")
    finally:
        for name in ("subuid", "subgid"):
            path = pathlib.Path("/etc") / name
            path.with_suffix(".kept").rename(path)
    assert done.stdout.split() == ["0", "5000", "1"]
    assert len(done.stderr.splitlines()) == 1 and "subuid" in done.stderr


def test_newuidmap_missing(lab, ranges):
    """Found through PATH; without it the single mapping is taken, and the package is named."""
    path = lab.path("bin")
    path.mkdir()
    (path / "cat").symlink_to("/usr/bin/cat")
    argv = lab.as_user(["/usr/bin/env", f"PATH={path}", lab.binary, "run", "--", "cat", "/proc/self/uid_map"])
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, env=lab.user_environment(), check=False)
    assert done.stdout.split() == ["0", "5000", "1"], done.stderr
    assert "uidmap" in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.core
def test_ready_when_the_command_starts(lab):
    """Both IP versions work in the first command; no address is tentative."""
    script = f"ip -6 addr show dev tap0; curl -sS --max-time 2 'http://[{WAN6}]/' && curl -sS --max-time 2 http://{WAN4}/; ip route; ip -6 route"
    done = run(lab, "--", "sh", "-c", script)
    assert done.stdout.count("hello from the lab") == 2, done.stdout + done.stderr
    assert "tentative" not in done.stdout
    assert "default via 10.0.2.2 dev tap0" in done.stdout
    assert "LOOPBACK,UP" in run(lab, "--", "ip", "link", "show", "dev", "lo").stdout


def test_starts_quickly(lab, sanitized):
    import time

    start = time.monotonic()
    run(lab, "--", "true", check=True)
    assert time.monotonic() - start < (5 if sanitized else 1.5)


def test_nothing_leaks_into_the_command(lab):
    done = run(lab, "--", "sh", "-c", "ls /proc/self/fd; grep -E 'SigBlk|SigIgn' /proc/self/status; echo $(ulimit -Sn)")
    lines = done.stdout.split()
    assert lines[:4] == ["0", "1", "2", "3"], "3 is ls's own"
    plain = lab.user_run(["sh", "-c", "ls /proc/self/fd; grep -E 'SigBlk|SigIgn' /proc/self/status; echo $(ulimit -Sn)"])
    assert lines == plain.stdout.split()


@pytest.mark.parametrize("options,fresh", [
    ([], set()), (["--pid"], {"pid"}), (["--ipc"], {"ipc"}), (["--uts"], {"uts"}), (["--cgroup"], {"cgroup"}),
    (["--all"], {"pid", "ipc", "uts", "cgroup"}),
])
def test_namespaces(lab, nothing_left, options, fresh):
    kinds = ["pid", "ipc", "uts", "cgroup", "user", "mnt", "net"]
    script = "for n in " + " ".join(kinds) + "; do readlink /proc/self/ns/$n; done"
    inside = dict(zip(kinds, run(lab, *options, "--", "sh", "-c", script).stdout.split()))
    outside = dict(zip(kinds, lab.user_run(["sh", "-c", script]).stdout.split()))
    assert {kind for kind in outside if inside[kind] != outside[kind]} == fresh | ({"user", "mnt", "net"} & set(outside))


def test_pid_namespace_has_its_own_proc(lab, nothing_left):
    done = run(lab, "--pid", "--", "sh", "-c", "ls -d /proc/[0-9]* | wc -l; (sleep 0.1 &) ; sleep 0.5; ps -eo stat= | grep -c Z; true")
    count, zombies = map(int, done.stdout.split())
    assert count <= 5
    assert zombies == 0, "orphans are reaped"
    assert run(lab, "--pid", "--", "sh", "-c", "exit 9").returncode == 9
    assert run(lab, "--pid", "--", "sh", "-c", "kill -9 $$").returncode == 137


@pytest.mark.parametrize("kind", ["file", "absolute", "relative", "dangling"])
def test_resolv_conf(lab, kind):
    """Ours inside, the host's untouched outside, however /etc/resolv.conf is made."""
    etc, target = pathlib.Path("/etc/resolv.conf"), pathlib.Path("/run/resolved/stub.conf")
    text = "nameserver 198.51.100.2\nsearch lab.test\n"
    with lab.resolv_conf(text):
        if kind != "file":
            etc.unlink()
            target.parent.mkdir(exist_ok=True)
            target.unlink(missing_ok=True)
            if kind != "dangling":
                target.write_text(text)
            etc.symlink_to("../run/resolved/stub.conf" if kind == "relative" else target)
        done = run(lab, "--", "sh", "-c", "cat /etc/resolv.conf; echo; ls /etc/passwd; dig +short wan.lab.test")
        assert "nameserver 10.0.2.3" in done.stdout, done.stderr
        assert "nameserver fd00::3" in done.stdout
        assert "/etc/passwd" in done.stdout
        if kind == "dangling":
            assert not target.exists(), "nothing is created outside"
        else:
            assert "search lab.test" in done.stdout
            assert "198.51.100.2" in done.stdout.split("/etc/passwd")[1]
            assert etc.read_text() == text


def forward(lab, number, trap="exit 42", options=()):
    started = lab.path("started")
    script = f"trap '{trap}' {number}; echo up > {started}; while :; do sleep 0.05; done"
    process = lab.user_popen([lab.binary, "run", *options, "--", "sh", "-c", script], stderr=subprocess.PIPE)
    wait_for(started.exists, 15, "the command")
    process.send_signal(getattr(signal, f"SIG{number}"))
    return process.wait(10)


@pytest.mark.parametrize("number", ["TERM", "HUP", "INT", "QUIT", "USR1", "USR2"])
def test_signals_are_forwarded(lab, nothing_left, number):
    assert forward(lab, number) == 42


def test_signals_pass_an_init(lab, nothing_left):
    assert forward(lab, "TERM", options=["--pid"]) == 42


def test_signal_without_handler(lab, nothing_left):
    process = lab.user_popen([lab.binary, "run", "--", "sleep", "1000"], stderr=subprocess.PIPE)
    wait_for(lambda: "sleep" in _commands(), 15, "the command")
    process.terminate()
    assert process.wait(10) == 143


def _commands():
    names = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"sleep", b"1000"]:
            names.append("sleep")
    return names


@pytest.mark.core
@pytest.mark.parametrize("options", [[], ["--pid"]], ids=["plain", "pid"])
def test_killed_program_takes_the_guest_with_it(lab, nothing_left, options):
    """SIGKILL runs no code of ours. The guest's command and its children must end all the same."""
    process = lab.user_popen([lab.binary, "run", *options, "--", "sh", "-c", "sleep 1000 & sleep 1000 & wait"], stderr=subprocess.PIPE)
    wait_for(lambda: len(_commands()) == 2, 15, "the command's children")
    process.kill()
    process.wait(5)
    if options:  # with a PID namespace, all of its processes end; without, what the command started may be anybody's
        wait_for(lambda: not _commands(), 5, "the guest to end")
    else:
        wait_for(lambda: not _shells(), 5, "the guest's command to end")
        for pid in _sleepers():
            kill(pid)


def _sleepers():
    return [int(path.parent.name) for path in pathlib.Path("/proc").glob("[0-9]*/cmdline")
            if _words(path)[:2] == [b"sleep", b"1000"]]


def _shells():
    return [path for path in pathlib.Path("/proc").glob("[0-9]*/cmdline") if b"sleep 1000 & sleep 1000 & wait" in _words(path)
            and _words(path)[:1] == [b"sh"]]


def _words(path):
    try:
        return path.read_bytes().split(b"\0")
    except OSError:
        return []


@pytest.mark.core
def test_killed_command_ends_the_program(lab, nothing_left):
    process = lab.user_popen([lab.binary, "run", "--", "sleep", "1000"], stderr=subprocess.PIPE)
    pids = wait_for(_sleepers, 15, "the command")
    os.kill(pids[0], signal.SIGKILL)
    assert process.wait(5) == 137


@pytest.mark.core
def test_left_over_children_end_with_the_command(lab, nothing_left):
    """The command forks a daemon and ends: the network ends, and so does what needs it."""
    done = run(lab, "--", "sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo done")
    assert (done.stdout, done.returncode) == ("done\n", 0)
    wait_for(lambda: not _commands(), 5, "the daemon to end")


def test_host_sees_no_interface(lab, make_guest):
    before = lab.host.run(["ip", "-br", "link"], capture_output=True).stdout
    make_guest()
    assert lab.host.run(["ip", "-br", "link"], capture_output=True).stdout == before


@pytest.mark.core
def test_two_guests_do_not_meet(make_guest):
    one, two = make_guest(), make_guest()
    server = one.popen("echo private | nc -l -p 9000 -s 0.0.0.0")
    wait_for(lambda: ":9000" in one.out("ss -tln"), 5, "the server")
    assert two.run("timeout 3 nc -w 2 10.0.2.100 9000 < /dev/null", check=False).stdout == ""
    server.kill()
