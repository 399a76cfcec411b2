"""The DNS forwarder on .3 and fd00::3."""

import os
import pathlib
import time

import pytest

from lab.guest import wait_for
from lab.network import BLACKHOLE4, HOST4, LATE4, SILENT4, WAN4_SECOND, WAN6_SECOND

pytestmark = pytest.mark.core

SERVERS = pytest.mark.parametrize("server", ["10.0.2.3", "fd00::3"], ids=["v4", "v6"])


def dig(guest, *words, server="10.0.2.3", check=True):
    return guest.run(["dig", f"@{server}", "+tries=1", "+time=12", *words], timeout=30, check=check).stdout


def who(guest, server="10.0.2.3"):
    return dig(guest, "+short", "TXT", "whoami.lab.test", server=server, check=False).strip().strip('"')


@SERVERS
@pytest.mark.parametrize("protocol", ["+notcp", "+tcp"], ids=["udp", "tcp"])
def test_lookup(guest, server, protocol):
    assert dig(guest, "+short", protocol, "A", "far.lab.test", server=server) == "203.0.113.2\n"
    assert dig(guest, "+short", protocol, "AAAA", "far.lab.test", server=server) == "2001:db8:2::2\n"
    assert "status: NXDOMAIN" in dig(guest, protocol, "A", "nobody.lab.test", server=server)


def test_libc_uses_it(guest):
    assert guest.out("getent ahostsv4 wan.lab.test").split()[0] == "198.51.100.2"
    assert guest.out("getent ahostsv4 far").split()[0] == "203.0.113.2", "the host's search domain is kept"


@SERVERS
def test_large_answer_over_udp(guest, server):
    """About 3 KB: more than the MTU, so it comes in fragments."""
    out = dig(guest, "+notcp", "+ignore", "+bufsize=4096", "TXT", "big.lab.test", server=server)
    assert "ANSWER: 14," in out


def test_truncation_and_fall_back(guest):
    assert "flags: qr aa tc" in dig(guest, "+notcp", "+ignore", "+bufsize=512", "TXT", "big.lab.test")
    out = dig(guest, "TXT", "big.lab.test")
    assert "ANSWER: 14," in out and "(TCP)" in out


@SERVERS
def test_answer_of_sixty_kilobytes(guest, server):
    out = dig(guest, "+tcp", "TXT", "huge.lab.test", server=server)
    assert "ANSWER: 238," in out
    assert out.count("hhhhhhhh" * 20) == 238


def test_several_questions_on_one_connection(guest):
    out = guest.python("""
import socket, struct
def question(number, name):
    body = b''.join(bytes([len(p)]) + p.encode() for p in name.split('.')) + b'\\0'
    message = struct.pack('!6H', number, 0x100, 1, 0, 0, 0) + body + struct.pack('!2H', 1, 1)
    return struct.pack('!H', len(message)) + message
s = socket.create_connection(('10.0.2.3', 53), 10)
s.sendall(question(11, 'wan.lab.test') + question(22, 'far.lab.test'))
stream, seen = s.makefile('rb'), set()
for _ in range(2):
    reply = stream.read(struct.unpack('!H', stream.read(2))[0])
    seen.add((struct.unpack('!H', reply[:2])[0], reply[-4:]))
print(seen == {(11, bytes([198, 51, 100, 2])), (22, bytes([203, 0, 113, 2]))})
""")
    assert out.strip() == "True"


def test_many_at_once(guest):
    out = guest.out("for i in $(seq 60); do dig @10.0.2.3 +short +tries=2 +time=5 wan.lab.test & done; wait", timeout=60)
    assert out.split() == ["198.51.100.2"] * 60


def test_follows_changes(lab, guest):
    """Edited in place, replaced by rename, and switched as a symlink: each is noticed while the program runs."""
    etc = pathlib.Path("/etc")
    with lab.resolv_conf("nameserver 198.51.100.2\n") as path:
        wait_for(lambda: who(guest) == "wan", 10, "the first server", every=0.2)
        path.write_text(f"nameserver {WAN4_SECOND}\n")
        wait_for(lambda: who(guest) == "second", 10, "the edited file", every=0.2)
        (etc / "resolv.new").write_text(f"nameserver {WAN6_SECOND}\n")
        os.replace(etc / "resolv.new", path)
        wait_for(lambda: who(guest) == "second6", 10, "the renamed file", every=0.2)
        (etc / "resolv.target").write_text("nameserver 198.51.100.2\n")
        path.unlink()
        path.symlink_to("resolv.target")
        wait_for(lambda: who(guest) == "wan", 10, "the symlink", every=0.2)
        (etc / "resolv.target").write_text(f"nameserver {WAN4_SECOND}\n")
        wait_for(lambda: who(guest) == "second", 10, "the symlink's target", every=0.2)
    wait_for(lambda: who(guest) == "wan", 10, "the restored file", every=0.2)


@pytest.mark.parametrize("first", [SILENT4, HOST4], ids=["silent", "refusing"])
def test_next_server(lab, make_guest, first):
    with lab.resolv_conf(f"nameserver {first}\nnameserver {WAN4_SECOND}\n"):
        guest = make_guest()
        start = time.monotonic()
        assert who(guest) == "second"
        assert time.monotonic() - start < 10


@pytest.mark.parametrize("first", [BLACKHOLE4, HOST4, SILENT4], ids=["unanswered", "refusing", "silent"])
def test_next_server_over_tcp(lab, make_guest, first):
    with lab.resolv_conf(f"nameserver {first}\nnameserver {WAN4_SECOND}\n"):
        guest = make_guest()
        start = time.monotonic()
        assert dig(guest, "+short", "+tcp", "TXT", "whoami.lab.test").strip() == '"second"'
        assert time.monotonic() - start < 6


@pytest.mark.parametrize("second", [HOST4, BLACKHOLE4, SILENT4], ids=["refusing", "unanswered", "silent"])
def test_a_late_server_is_gone_back_to_over_tcp(lab, make_guest, second):
    """It answers after the next one was asked, which does not."""
    with lab.resolv_conf(f"nameserver {LATE4}\nnameserver {second}\n"):
        guest = make_guest()
        start = time.monotonic()
        assert dig(guest, "+short", "+tcp", "+tries=1", "+time=12", "TXT", "whoami.lab.test").strip() == '"late"'
        assert 4 < time.monotonic() - start < 8


@pytest.mark.parametrize("resolver,label", [("127.0.0.53", "stub4"), ("::1", "stub6"), (WAN6_SECOND, "second6")])
def test_kinds_of_resolver(lab, make_guest, resolver, label):
    """A stub on the host's loopback is reached although the guest may not reach that loopback itself."""
    with lab.resolv_conf(f"nameserver {resolver}\noptions edns0 trust-ad\nsearch lab.test\n"):
        guest = make_guest()
        assert who(guest) == label
        assert who(guest, "fd00::3") == label
        assert dig(guest, "+short", "+tcp", "TXT", "whoami.lab.test").strip() == f'"{label}"'


def test_option_dns(make_guest):
    guest = make_guest("--dns", WAN4_SECOND)
    assert who(guest) == "second"


def test_option_no_dns(make_guest):
    """Nobody answers on .3, and the inside keeps the host's resolv.conf."""
    guest = make_guest("--no-dns")
    assert guest.run("dig @10.0.2.3 +tries=1 +time=1 wan.lab.test", check=False).returncode != 0
    assert "198.51.100.2" in guest.out("cat /etc/resolv.conf")
    assert guest.out("dig +short wan.lab.test") == "198.51.100.2\n"


def test_garbage_is_not_relayed_as_an_answer(guest):
    out = guest.python("""
import os, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.5)
for size in (0, 1, 11, 12, 13, 40, 512, 1400):
    s.sendto(os.urandom(size), ('10.0.2.3', 53))
    try:
        s.recv(4096)
    except (TimeoutError, ConnectionError):
        pass
print('alive')
""")
    assert out.strip() == "alive"
    assert who(guest) == "wan"
