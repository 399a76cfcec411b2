"""`slirp-forwarder PATH`: a namespace on a file, as the original did it."""

import re
import signal
import subprocess

import pytest

from lab import world
from lab.guest import said, wait_for


class Session:
    """The user's `unshare -mr` shell of the README, held open; commands run in it, in the lab's host network."""

    def __init__(self, lab):
        self.lab = lab
        pid_file = lab.path("session-pid")
        script = f"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep infinity"
        self.process = lab.user_popen(["unshare", "-mr", "sh", "-c", script])
        wait_for(lambda: pid_file.exists(), 10, "the session")
        self.pid = int(pid_file.read_text())
        self.work = world.HOME / pid_file.name
        self.work.mkdir()
        self.work.chmod(0o777)

    def command(self, argv):
        argv = ["bash", "-c", argv] if isinstance(argv, str) else [str(word) for word in argv]
        enter = [*self.lab.enter_as_root(self.pid, "user", "mount"), "env", f"--chdir={self.work}"]
        return self.lab.host.command([*enter, *argv])

    def run(self, argv, timeout=30, check=True, env=None):
        done = subprocess.run(self.command(argv), capture_output=True, text=True, timeout=timeout,
                              env=self.lab.user_environment(env))
        assert not check or done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def popen(self, argv, env=None, **options):
        return self.lab.popen(self.command(argv), env=self.lab.user_environment(env), **options)

    def mounted(self, name="net"):
        return f"{self.work}/{name} " in self.run("cat /proc/self/mountinfo").stdout

    def close(self):
        self.lab.stop(self.process, signal.SIGKILL)


@pytest.fixture
def session(lab):
    it = Session(lab)
    yield it
    it.close()


def start(session, *options, env=None, name="net"):
    (session.work / name).touch()
    log = open(session.work / "log", "w", encoding="utf-8")
    process = session.popen([session.lab.binary, *options, name], env=env, stderr=log, stdout=log)
    wait_for(lambda: session.mounted(name) or process.poll() is not None, 10, "the mount")
    assert process.poll() is None, (session.work / "log").read_text()
    wait_for(lambda: session.run(f"nsenter --net={name} ip link show tap0 2>/dev/null | grep -q LOWER_UP", check=False)
             .returncode == 0, 5, "the TAP")
    return process


@pytest.mark.core
def test_readme_session(session):
    """The README's commands, in one shell as its reader types them; only the prompt's pauses are added."""
    script = """
        mount -t tmpfs tmpfs /var/run; mkdir -p /var/run/NetworkManager/
        touch net; slirp-forwarder net & forwarder=$!
        for i in $(seq 100); do mountpoint -q net || [ "$(stat -f -c %t net)" = 6e736673 ] && break; sleep 0.05; done
        sleep 0.3
        nsenter --net=net dhclient -i tap0
        nsenter --net=net route add default tap0
        nsenter --net=net ifconfig -a
        nsenter --net=net wget -T 10 -t 1 -O- www.gnu.org
        echo "wget: $?"
        kill $(cat /var/run/dhclient.pid 2>/dev/null) 2>/dev/null
        kill $forwarder; wait $forwarder; echo "forwarder: $?"
        grep " $PWD/net " /proc/self/mountinfo || echo unmounted
    """
    done = session.run(script, timeout=60)
    everything = done.stdout + done.stderr
    assert re.search(r"inet 10\.0\.2\.15 +netmask 255\.255\.255\.0 +broadcast 10\.0\.2\.255", done.stdout), everything
    assert re.search(r"tap0: flags=\d+<UP,BROADCAST,RUNNING(,MULTICAST)?> +mtu 1500", done.stdout), everything
    assert "hello from the lab" in done.stdout, everything
    assert "wget: 0" in done.stdout, everything
    assert "unmounted" in done.stdout, everything


def test_interface_is_up_and_bare(session):
    process = start(session)
    out = session.run("nsenter --net=net ip addr show dev tap0").stdout
    assert "UP" in out and "inet " not in out
    # What IPv6 there is, the kernel has made from our advertisement.
    assert all("dynamic" in line for line in out.splitlines() if "inet6 fd" in line), out
    assert "default" not in session.run("nsenter --net=net ip -4 route").stdout
    assert (session.work / "log").read_text().count("\n") <= 2, "it does not chatter"
    session.lab.stop(process)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_unmounts_at_the_end(session, number):
    process = start(session)
    inner = wait_for(lambda: _program(session, process), 5, "the program")
    import os

    os.kill(inner, number)
    assert process.wait(5) in (0, 128 + number, -number)
    assert not session.mounted()


def _program(session, process):
    """The exec chain keeps the PID from nsenter to the program, unless nsenter forks."""
    import pathlib

    from lab.guest import children

    for pid in (process.pid, *children(process.pid)):
        if pathlib.Path(f"/proc/{pid}/comm").read_text().startswith("slirp-forwarder"):
            return pid
    return None


@pytest.mark.parametrize("how", ["option", "environment"])
def test_configure(session, how):
    process = start(session, *(["--configure"] if how == "option" else []),
                    env={"CONFIGURE_NETWORK": "1"} if how == "environment" else None)
    wait_for(lambda: "10.0.2.100/24" in session.run("nsenter --net=net ip addr show dev tap0").stdout, 5, "the address")
    wait_for(lambda: "default via 10.0.2.2" in session.run("nsenter --net=net ip route").stdout, 5, "the route")
    assert "LOOPBACK,UP" in session.run("nsenter --net=net ip link show dev lo").stdout
    assert session.run("nsenter --net=net curl -sS http://198.51.100.2/").stdout == "hello from the lab\n"
    session.lab.stop(process)


def test_killed_program_leaves_no_network(session):
    """After SIGKILL nobody can run clean-up code of ours; what is left must not look like a working network."""
    process = start(session, "--configure")
    session.lab.stop(process, signal.SIGKILL)
    gone = not session.mounted()
    assert gone or session.run("nsenter --net=net ip link show dev tap0", check=False).returncode != 0


def test_path_must_exist(session):
    done = session.run([session.lab.binary, "missing"], check=False)
    assert done.returncode == 1
    assert len(said(done)) == 1 and "missing" in done.stderr
    assert not (session.work / "missing").exists()


def test_outside_of_a_user_namespace(lab, nothing_left):
    """Without the right to mount it says how to get it."""
    path = lab.path("net")
    path.touch()
    path.chmod(0o666)
    done = lab.user_run([lab.binary, str(path)])
    assert done.returncode == 1
    assert len(said(done)) == 1 and "unshare" in done.stderr
