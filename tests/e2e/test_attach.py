"""`slirp-forwarder attach`: an existing namespace, by process or by path."""

import os
import select
import signal
import subprocess

import pytest

from lab.container import Container
from lab.guest import wait_for
from lab.network import WAN4


@pytest.fixture
def container(lab):
    it = Container(lab)
    yield it
    it.kill()


@pytest.fixture
def attach(lab):
    """attach(*words) starts the program with a ready-fd, and returns the process once it is ready."""
    started = []

    def start(*words, exit_fd=None):
        ready, write = os.pipe()
        keep = [write] + ([exit_fd] if exit_fd is not None else [])
        argv = [lab.binary, "attach", f"--ready-fd={write}", *words]
        process = lab.user_popen(argv, pass_fds=keep, stderr=subprocess.PIPE)
        started.append(process)
        os.close(write)
        said = os.read(ready, 10) if select.select([ready], [], [], 15)[0] else b"nothing"
        os.close(ready)
        assert said == b"1", f"{said}: status {process.poll()}: {process.stderr.read() if process.poll() is not None else ''}"
        return process

    yield start
    for process in started:
        lab.stop(process)


def works(container, tap="tap0"):
    assert f"default via 10.0.2.2 dev {tap}" in container.run("ip route").stdout
    assert container.run(f"curl -sS --max-time 5 http://{WAN4}/").stdout == "hello from the lab\n"


@pytest.mark.core
def test_by_pid(nothing_left, lab, container, attach):
    process = attach("--configure", str(container.pid))
    works(container)
    lab.stop(process)
    assert container.run("ip link show tap0", check=False).returncode != 0, "the TAP goes with the program"


def test_options_after_the_target(lab, container, attach):
    process = attach(str(container.pid), "eth7", "--configure", "--mtu", "9000")
    works(container, "eth7")
    assert "mtu 9000" in container.run("ip link show eth7").stdout
    lab.stop(process)


def test_not_configured(lab, container, attach):
    process = attach(str(container.pid))
    out = container.run("ip addr show dev tap0").stdout
    assert "inet " not in out
    lab.stop(process)


@pytest.mark.core
def test_by_path(lab, container, attach):
    base = f"/proc/{container.pid}/ns"
    process = attach("--configure", f"--userns-path={base}/user", f"{base}/net")
    works(container)
    lab.stop(process)


def test_by_path_finds_the_user_namespace(lab, container, attach):
    process = attach("--configure", f"/proc/{container.pid}/ns/net")
    works(container)
    lab.stop(process)


@pytest.mark.core
def test_ends_with_the_namespace(nothing_left, lab, attach):
    container = Container(lab)
    process = attach("--configure", str(container.pid))
    container.kill()
    assert process.wait(20) == 0


@pytest.mark.core
def test_stays_while_another_process_is_there(lab, attach):
    container = Container(lab)
    process = attach("--configure", str(container.pid))
    other = subprocess.Popen(["nsenter", f"--target={container.pid}", "--net", "sleep", "1000"])
    wait_for(lambda: os.readlink(f"/proc/{other.pid}/ns/net") == os.readlink(f"/proc/{container.pid}/ns/net"), 5, "nsenter")
    container.kill()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)
    other.kill()
    other.wait()
    assert process.wait(20) == 0


def test_exit_fd(lab, container, attach):
    read, write = os.pipe()
    process = attach("--configure", str(container.pid), f"--exit-fd={read}", exit_fd=read)
    os.close(read)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    os.close(write)
    assert process.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_at_a_signal(container, attach, number):
    process = attach("--configure", str(container.pid))
    process.send_signal(number)
    assert process.wait(5) in (0, -number, 128 + number)


@pytest.mark.core
def test_killed(nothing_left, container, attach):
    process = attach("--configure", str(container.pid))
    process.kill()
    process.wait(5)
    wait_for(lambda: container.run("ip link show tap0", check=False).returncode != 0, 5, "the TAP to go")


def test_pid_is_gone(lab, nothing_left):
    gone = subprocess.Popen(["true"])
    gone.wait()
    done = lab.user_run([lab.binary, "attach", str(gone.pid)])
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and str(gone.pid) in done.stderr


def test_path_is_no_namespace(lab, nothing_left):
    for path in ("/etc/passwd", "/no/such/file"):
        done = lab.user_run([lab.binary, "attach", path])
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1 and path in done.stderr


def test_name_is_taken(lab, container, attach):
    first = attach("--configure", str(container.pid))
    done = lab.user_run([lab.binary, "attach", str(container.pid)])
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and "tap0" in done.stderr
    works(container)
    lab.stop(first)


def test_foreign_namespace_is_refused(lab, nothing_left):
    """The world's own namespaces belong to its root, not to us."""
    done = lab.user_run([lab.binary, "attach", "/run/netns/wan"])
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
