"""RootlessKit 1.1 with the program under test as --slirp4netns-binary: a persistent TAP that it makes and configures."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from lab import content
from lab.engines import TELLER_COMMAND, told, told_over_udp
from lab.guest import wait_for
from lab.network import HOST4, HOST6, WAN4, WAN6

ONLY_NET_BIND_SERVICE = 0x400


class Kit:
    """RootlessKit holding its namespaces open, and commands in them as their root."""

    def __init__(self, engines, *options, words=None):
        self.engines, self.lab = engines, engines.lab
        self.state = engines.lab.path("rootlesskit")
        self.log = engines.lab.path("rootlesskit-log")
        words = [*(words or engines.rootlesskit_words(*options))]
        words.insert(1, f"--state-dir={self.state}")
        ready = engines.lab.path("ready")
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = engines.popen(*words, "sh", "-c", f"touch {ready}; exec sleep infinity", stdout=log, stderr=log)
        self.servers = []
        self.pid = None
        try:
            wait_for(lambda: self._is_up(ready), 20, "RootlessKit")
        except BaseException:
            self.close()
            raise

    def _is_up(self, ready):
        assert self.process.poll() is None, self.log.read_text()
        found = self.state / "child_pid"  # written by the parent, before or after the child is ready
        if not ready.exists() or not found.exists() or not found.read_text():
            return False
        self.pid = int(found.read_text())
        return True

    def command(self, *argv):
        return [*self.lab.enter_as_root(self.pid, "user", "mount", "net"), *argv]

    def run(self, script):
        done = subprocess.run(self.command("bash", "-c", script), capture_output=True, text=True, timeout=60, check=False,
                              env=self.lab.user_environment())
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}\n{self.log.read_text()}"
        return done.stdout

    def serve(self):
        self.servers.append(self.lab.popen(self.command(*TELLER_COMMAND), env=self.lab.user_environment()))

    def control(self, *words):
        """rootlessctl: the finished process."""
        socket = self.state / "api.sock"
        wait_for(socket.exists, 10, "RootlessKit's own API")
        return self.engines.try_run("rootlessctl", "--socket", socket, *words)

    def close(self):
        for server in self.servers:
            self.lab.stop(server)
        self.lab.stop(self.process)


@pytest.fixture
def kit(engines, nothing_left):
    """kit(*options) -> a Kit that ends with the test."""
    kits = []

    def make(*options, words=None):
        kits.append(Kit(engines, *options, words=words))
        return kits[-1]

    yield make
    for each in kits:
        each.close()
        assert not each.state.exists(), "RootlessKit removes its state, and so our socket in it"
    wait_for(lambda: not engines.forwarders(), 5, "the end of slirp4netns")


def once(engines, script, *options):
    return engines.run(*engines.rootlesskit_words(*options), "bash", "-c", script)


SANDBOX, SECCOMP = "--slirp4netns-sandbox=true", "--slirp4netns-seccomp=true"
CONFINED = pytest.mark.parametrize("confined", [[], [SANDBOX], [SECCOMP], [SANDBOX, SECCOMP]],
                                   ids=["plain", "sandbox", "seccomp", "both"])


# --- out ----------------------------------------------------------------------------------------------------------------


@CONFINED
def test_out(kit, confined):
    """Addresses, names, TCP and UDP; and the process has no more rights than was asked for."""
    inside = kit("--disable-host-loopback", *confined)
    out = inside.run("ip -o addr show tap0; ip route; cat /etc/resolv.conf; ip link show tap0")
    assert "inet 10.0.2.100/24" in out
    assert "default via 10.0.2.2" in out
    assert "nameserver 10.0.2.3" in out
    assert " mtu 65520 " in out
    assert inside.run("curl -sS http://v4.lab.test/peer").split()[0] == HOST4
    code = f"import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.sendto(bytes(9000), ({WAN4!r}, 7)); print(len(s.recv(65536)))"
    assert inside.run(f"/usr/bin/python3 -c '{code.replace(chr(39), chr(34))}'") == "9000\n"
    assert inside.run("ping -c 1 -W 5 10.0.2.2 >/dev/null; dig +short +tcp far.lab.test @10.0.2.3") == "203.0.113.2\n"
    ((pid, words),) = inside.engines.forwarders().items()
    assert os.path.realpath(f"/proc/{pid}/exe") == os.path.realpath(inside.engines.slirp4netns)
    assert re.fullmatch(r"--mtu 65520 -r 3 --disable-host-loopback( --enable-sandbox)?( --enable-seccomp)? \d+ tap0",
                        " ".join(words[1:])), words
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    assert ("Seccomp:\t2\n" in status) == (SECCOMP in confined)
    if SANDBOX in confined:
        assert int(re.search(r"CapEff:\t(\w+)", status)[1], 16) == ONLY_NET_BIND_SERVICE
        assert int(re.search(r"CapBnd:\t(\w+)", status)[1], 16) == ONLY_NET_BIND_SERVICE
        assert sorted(os.listdir(f"/proc/{pid}/root")) == ["etc", "run"]


@CONFINED
def test_much_both_ways(kit, lab, confined):
    inside = kit(*confined)
    size, path = 128 << 20, lab.tmp / "much"
    digest = content.write(path, size)
    path.chmod(0o644)
    assert inside.run(f"curl -sS http://{WAN4}/file/much | sha256sum").split()[0] == digest
    assert inside.run(f"curl -sS -T {path} http://{WAN4}/").split() == [digest, str(size)]
    path.unlink()


def test_as_docker_starts_it(kit):
    inside = kit("--copy-up=/run", "--propagation=rslave", "--disable-host-loopback", "--port-driver=builtin", SANDBOX, SECCOMP)
    assert inside.run("curl -sS http://v4.lab.test/peer").split()[0] == HOST4


@pytest.mark.parametrize("options, told_by", [([], "127.0.0.1"), (["--disable-host-loopback"], None)], ids=["open", "closed"])
def test_host_loopback(engines, nothing_left, options, told_by):
    out = once(engines, "nc -w 5 10.0.2.2 8099 </dev/null 2>&1 || true", *options)
    assert (out.split()[0] if out else None) == told_by


def test_cidr(engines, nothing_left):
    out = once(engines, "ip -o addr show tap0; ip route; cat /etc/resolv.conf; curl -sS http://v4.lab.test/peer", "--cidr=10.41.0.0/16")
    assert "inet 10.41.0.100/16" in out
    assert "default via 10.41.0.2" in out
    assert "nameserver 10.41.0.3" in out
    assert out.splitlines()[-1].split()[0] == HOST4


def test_mtu(engines, nothing_left):
    out = once(engines, f"ip link show tap0; curl -sS http://{WAN4}/peer", "--mtu=1500")
    assert " mtu 1500 " in out
    assert out.splitlines()[-1].split()[0] == HOST4


def test_ipv6(kit):
    inside = kit("--ipv6")
    inside.run("for i in $(seq 100); do ip -6 route | grep -q ^default && exit; sleep 0.1; done; exit 1")
    assert "inet6 fd00:" in inside.run("ip -o addr show tap0")
    # At once, though nobody has waited for duplicate address detection.
    assert inside.run(f"curl -sS --max-time 5 'http://[{WAN6}]/peer'").split()[0] == HOST6


# --- in -----------------------------------------------------------------------------------------------------------------


def test_readme_example(kit, engines, lab):
    inside = kit(words=engines.readme("rootlesskit").removesuffix("CMD").replace("\\\n", "").split())
    inside.serve()
    assert told(lab, HOST4, 8080, lab.wan) == ("198.51.100.2", True)
    assert inside.run("curl -sS http://v4.lab.test/peer").split()[0] == HOST4


@CONFINED
def test_ports_through_slirp4netns(kit, lab, confined):
    inside = kit("--port-driver=slirp4netns", "--publish=0.0.0.0:8080:80/tcp", *confined)
    inside.serve()
    assert told(lab, HOST4, 8080, lab.wan) == ("198.51.100.2", True)
    assert told(lab, "127.0.0.1", 8080)[0] == "10.0.2.2"

    added = inside.control("add-ports", "0.0.0.0:8081:80/tcp", "127.0.0.1:5300:53/udp")
    assert added.returncode == 0, added.stderr
    assert told(lab, HOST4, 8081, lab.wan) == ("198.51.100.2", True)
    assert told_over_udp(lab, "127.0.0.1", 5300)[0] == "10.0.2.2"

    listed = [json.loads(line) for line in inside.control("list-ports", "--json").stdout.splitlines()]
    assert {(entry["spec"]["proto"], entry["spec"]["parentPort"], entry["spec"]["childPort"]) for entry in listed} == {
        ("tcp", 8080, 80), ("tcp", 8081, 80), ("udp", 5300, 53)}

    (gone,) = [entry["id"] for entry in listed if entry["spec"]["parentPort"] == 8081]
    removed = inside.control("remove-ports", str(gone))
    assert removed.returncode == 0, removed.stderr
    refused = lab.user_run(["nc", "-z", "-w", "2", HOST4, "8081"], namespace=lab.wan)
    assert refused.returncode != 0
    assert told(lab, HOST4, 8080, lab.wan)[0] == "198.51.100.2", "the other ports stay"
    assert inside.control("add-ports", "0.0.0.0:8081:80/tcp").returncode == 0, "and it may come again"
    assert told(lab, HOST4, 8081, lab.wan)[0] == "198.51.100.2"


def test_a_taken_port_is_told(kit, lab):
    holder = lab.user_popen(["nc", "-lk", "-p", "8080"])
    try:
        wait_for(lambda: ":8080" in lab.user_run(["ss", "-tln"]).stdout, 5, "the holder of the port")
        inside = kit("--port-driver=slirp4netns")
        done = inside.control("add-ports", "0.0.0.0:8080:80/tcp")
        assert done.returncode != 0
        assert "slirp_add_hostfwd failed" in done.stderr
    finally:
        lab.stop(holder)


def test_ports_through_the_builtin_driver(kit, lab):
    """RootlessKit's own forwarding beside our network: clients are on the loopback to the guest."""
    inside = kit("--port-driver=builtin", "--publish=0.0.0.0:8080:80/tcp")
    inside.serve()
    assert told(lab, HOST4, 8080, lab.wan)[0] == "127.0.0.1"
    assert inside.control("add-ports", "0.0.0.0:5300:53/udp").returncode == 0
    assert told_over_udp(lab, HOST4, 5300, lab.wan)[0] == "127.0.0.1"


def test_the_network_ends_when_rootlesskit_is_killed(kit, engines):
    inside = kit("--port-driver=slirp4netns")
    assert engines.forwarders()
    inside.process.kill()
    wait_for(lambda: not engines.forwarders(), 5, "the end of slirp4netns")
    shutil.rmtree(inside.state)  # RootlessKit had no time to
