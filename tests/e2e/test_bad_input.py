"""Wrong options and wrong machines: one line that says what is wrong and what to do, and nothing left behind."""

import subprocess

import pytest

from lab.guest import said
from lab.network import SINGLE_USER


def one_line(done, status, *words):
    assert done.returncode == status, f"{done.returncode}: {done.stderr}"
    assert len(said(done)) == 1, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


@pytest.mark.parametrize("words,mention", [
    (["run", "--mtu", "10"], "mtu"),
    (["run", "--mtu", "65521"], "65520"),
    (["run", "--mtu", "abc"], "mtu"),
    (["run", "--mtu"], "mtu"),
    (["run", "--cidr", "10.0.2.0/30"], "29"),
    (["run", "--cidr", "10.0.2.7/24"], "10.0.2.0/24"),
    (["run", "--cidr", "300.0.0.0/8"], "cidr"),
    (["run", "--cidr6", "fd00::/48"], "64"),
    (["run", "--cidr6", "10.0.2.0/24"], "cidr6"),
    (["run", "--mac", "01:00:00:00:00:01"], "mac"),
    (["run", "--mac", "zz"], "mac"),
    (["run", "--tap-name", "a-name-that-is-too-long"], "tap-name"),
    (["run", "--tap-name", "with/slash"], "tap-name"),
    (["run", "--outbound-addr", "fd00::1"], "outbound-addr"),
    (["run", "--outbound-addr6", "10.0.0.1"], "outbound-addr6"),
    (["run", "--dns", "nobody"], "dns"),
    (["run", "--log-level", "loud"], "log-level"),
    (["run", "--log-format", "xml"], "log-format"),
    (["run", "--no-such-option"], "--no-such-option"),
    (["--no-such-option"], "--no-such-option"),
    (["attach"], "PID"),
    (["attach", "--ready-fd", "x", "1"], "ready-fd"),
    ([], "help"),
])
def test_usage(lab, nothing_left, words, mention):
    done = lab.user_run([lab.binary, *words] + (["--", "true"] if words[:1] == ["run"] and words[-1] != "--mtu" else []))
    one_line(done, 2)
    assert mention in done.stderr, done.stderr
    assert done.stdout == ""


def test_outbound_interface_is_missing(lab, nothing_left):
    one_line(lab.user_run([lab.binary, "run", "--outbound-if", "nosuch0", "--", "true"]), 1, "nosuch0")


def test_outbound_address_is_not_ours(lab, nothing_left):
    one_line(lab.user_run([lab.binary, "run", "--outbound-addr", "192.0.2.250", "--", "true"]), 1, "192.0.2.250")


def with_mounts(lab, script, argv):
    """Run as the user in a mount namespace that `script` (as the world's root) has changed."""
    command = ["unshare", "--mount", "sh", "-c", f"{script}; exec \"$@\"", "sh", *lab.as_user(argv)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env=lab.user_environment(), check=False)


def test_tun_is_missing(lab, nothing_left):
    done = with_mounts(lab, "mount -t tmpfs tmpfs /dev/net", [lab.binary, "run", "--", "true"])
    one_line(done, 1, "/dev/net/tun")
    assert "modprobe tun" in done.stderr


def test_tun_is_denied(lab, nothing_left):
    if lab.mode == SINGLE_USER:
        pytest.skip("with one id for everybody, the user owns the file that should be denied")
    script = "mount -t tmpfs tmpfs /dev/net && touch /dev/net/tun && chmod 0 /dev/net/tun"
    done = with_mounts(lab, script, [lab.binary, "run", "--", "true"])
    one_line(done, 1, "/dev/net/tun")
    assert "0666" in done.stderr


def test_tun_is_no_device(lab, nothing_left):
    script = "mount -t tmpfs tmpfs /dev/net && touch /dev/net/tun && chmod 0666 /dev/net/tun"
    one_line(with_mounts(lab, script, [lab.binary, "run", "--", "true"]), 1, "/dev/net/tun")


def test_user_namespaces_are_disabled(lab, nothing_left):
    """In a user namespace of our own, so that the world's limit stays as it is."""
    script = f"echo 0 > /proc/sys/user/max_user_namespaces; exec {lab.binary} run -- true"
    done = lab.user_run(["unshare", "-r", "sh", "-c", script])
    one_line(done, 1, "user.max_user_namespaces")


def test_works_as_root(lab, nothing_left):
    """Root needs no user namespace, but may use the same command."""
    done = subprocess.run(lab.host.command([lab.binary, "run", "--", "sh", "-c", "id -u; curl -sS --max-time 5 http://wan.lab.test/"]),
                          capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == "0\nhello from the lab\n", done.stderr


@pytest.mark.core
def test_works_within_itself(lab, nothing_left):
    """A guest's root may run it again: the packets pass both."""
    inner = f"{lab.binary} run --cidr 10.9.9.0/24 --cidr6 fd99::/64 -- curl -sS --max-time 5 http://wan.lab.test/"
    done = lab.user_run([lab.binary, "run", "--", "sh", "-c", inner])
    assert "hello from the lab" in done.stdout, done.stderr
