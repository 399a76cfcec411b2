"""Server names in QUIC, under a policy with --check-sni: a real server and client of HTTP/3, and Initial packets made by
hand for what no client sends."""

import json
import pathlib

import pytest

from lab import world
from lab.named_servers import DNS4, QUIC4, QUIC6, SHARED4, SHARED6
from lab.quic import CLIENT

pytestmark = pytest.mark.core

ALLOWED, OTHER = "allowed.policy.test", "other.policy.test"
ONE, TWO = "one.h3.test", "two.h3.test"


@pytest.fixture(scope="module")
def strict(servers, lab):
    from lab.guest import Guest
    with Guest(lab, "--dns", DNS4, "--allow", f"{ALLOWED}:443", "--allow", f"{ONE}:443", "--deny-all", "--check-sni") as guest:
        guest.out(f"getent ahosts {ALLOWED} && getent ahosts {ONE}")
        yield guest


@pytest.fixture(scope="module")
def caddy(servers):
    servers.start_caddy()
    return servers


def get(guest, url, address, *words):
    client = pathlib.Path(world.BIN) / "h3_get"
    assert client.exists(), f"{client} is not built: build all, with golang-go and quic-go's package installed"
    done = guest.run([client, url, address, *words], check=False)
    return done.stdout if done.returncode == 0 else done.stderr


@pytest.mark.parametrize("address", [QUIC4, QUIC6])
def test_http3(strict, caddy, address):
    """One site of two on an address, for a real client and server."""
    assert get(strict, f"https://{ONE}/", address) == f"HTTP/3.0 {ONE}"
    assert "HTTP" not in get(strict, f"https://{TWO}/", address)
    assert "HTTP" not in get(strict, f"https://{ONE}/", address, TWO), "the name counts, not the Host"
    assert f"(server name {TWO})" in strict.messages()


def test_http3_without_the_check(caddy, make_guest):
    guest = make_guest("--dns", DNS4, "--allow", f"{ONE}:443", "--deny-all")
    guest.out(f"getent ahosts {ONE}")
    assert get(guest, f"https://{TWO}/", QUIC4) == f"HTTP/3.0 {TWO}"


def test_http3_by_address(caddy, make_guest):
    """A rule about the address lets any name pass, unless one before it refuses that."""
    guest = make_guest("--dns", DNS4, "--deny", TWO, "--allow", f"udp/{QUIC4}:443", "--deny-all", "--check-sni")
    assert get(guest, f"https://{ONE}/", QUIC4) == f"HTTP/3.0 {ONE}"
    assert "HTTP" not in get(guest, f"https://{TWO}/", QUIC4)


def test_http3_with_threads(caddy, make_guest):
    guest = make_guest("--dns", DNS4, "--allow", f"{ONE}:443", "--deny-all", "--check-sni", "--threads", "2")
    guest.out(f"getent ahosts {ONE}")
    for _ in range(5):
        assert get(guest, f"https://{ONE}/", QUIC4) == f"HTTP/3.0 {ONE}"
        assert "HTTP" not in get(guest, f"https://{TWO}/", QUIC4)


PASSES, REFUSED = True, False
# (expression, whether all its datagrams reach the server)
WAYS = {
    "control: the allowed name": ("quic(SHARED, whole(ALLOWED))", PASSES),
    "control: over IPv6": ("quic(SHARED6, whole(ALLOWED))", PASSES),
    "control: version 2": ("quic(SHARED, whole(ALLOWED, version=V2))", PASSES),
    "control: over three datagrams": ("quic(SHARED, *pieces(ALLOWED))", PASSES),
    "control: over three datagrams, the last one first": ("quic(SHARED, *pieces(ALLOWED, 3, [2, 0, 1]))", PASSES),
    "another name": ("quic(SHARED, whole(OTHER))", REFUSED),
    "another name over IPv6": ("quic(SHARED6, whole(OTHER))", REFUSED),
    "another name, version 2": ("quic(SHARED, whole(OTHER, version=V2))", REFUSED),
    "another name over three datagrams": ("quic(SHARED, *pieces(OTHER))", REFUSED),
    "another name over five datagrams, mixed": ("quic(SHARED, *pieces(OTHER, 5, [3, 1, 4, 0, 2]))", REFUSED),
    "no name": ("quic(SHARED, whole(''))", REFUSED),
    "a name with a zero byte behind it": ("quic(SHARED, whole(ALLOWED + '\\0' + OTHER))", REFUSED),
    "keys of the other version": ("quic(SHARED, whole(ALLOWED, version=V2, salt_version=V1))", REFUSED),
    "an unknown version": ("quic(SHARED, whole(ALLOWED, version=0xff00001d, salt_version=V1))", REFUSED),
    "a version that asks for others": ("quic(SHARED, whole(ALLOWED, version=0x1a2a3a4a, salt_version=V1))", REFUSED),
    "a short header without a connection": ("quic(SHARED, b'\\x40' + b'x' * 40)", REFUSED),
    "0-RTT without a connection": ("quic(SHARED, b'\\xd0\\0\\0\\0\\1\\4abcd\\0\\x20' + b'x' * 32)", REFUSED),
    "DTLS": ("quic(SHARED, b'\\x16\\xfe\\xfd' + b'x' * 100)", REFUSED),
    "anything else": ("quic(SHARED, b'hello')", REFUSED),
    "a second connection on the same socket": ("twice(whole(ALLOWED), whole(OTHER, id=b'another1'))", REFUSED),
    "another hello for the same connection": ("twice(whole(ALLOWED), whole(OTHER, number=1))", REFUSED),
    "another hello, sent where the server's answer said": (
        "twice(whole(ALLOWED), initial(b'srv1', crypto(0, hello_message(OTHER)), 1, key_id=b'12345678'))", REFUSED),
    "a second hello with another name, as after a HelloRetryRequest": (
        "twice(whole(ALLOWED), initial(b'srv1', crypto(len(hello_message(ALLOWED)), hello_message(OTHER)), 1, "
        "key_id=b'12345678'))", REFUSED),
    "control: the same with the same name": (
        "twice(whole(ALLOWED), initial(b'srv1', crypto(len(hello_message(ALLOWED)), hello_message(ALLOWED)), 1, "
        "key_id=b'12345678'))", PASSES),
    "control: an acknowledgment": ("twice(whole(ALLOWED), initial(b'srv1', b'\\2\\0\\0\\0\\0', 1, key_id=b'12345678'))", PASSES),
    "control: what follows": ("twice(whole(ALLOWED), b'\\x40' + b'x' * 40)", PASSES),
    "DTLS on a QUIC connection's socket": ("twice(whole(ALLOWED), b'\\x16\\xfe\\xfd' + b'x' * 100)", REFUSED),
    "an unknown version on a QUIC connection's socket": (
        "twice(whole(ALLOWED), whole(OTHER, version=0xff00001d, salt_version=V1))", REFUSED),
    "two connections' packets in one datagram": (
        "quic(SHARED, initial(b'12345678', crypto(0, hello_message(ALLOWED)))[:1200] + "
        "initial(b'another1', crypto(0, hello_message(OTHER))))", REFUSED),
    "a connection that moves to another port": (
        "[quic(SHARED, whole(ALLOWED)), quic(SHARED, b'\\x40' + b'x' * 40)] == [True, True]", REFUSED),
}

TWICE = r"""
# The first one passes, and what becomes of the second one on the same socket.
def twice(first, second):
    s = quic_socket(SHARED)
    assert quic(SHARED, first, s=s)
    return quic(SHARED, second, s=s)
"""


@pytest.mark.parametrize("way", WAYS)
def test_by_hand(strict, servers, way):
    expression, passes = WAYS[way]
    before = len(servers.quic_datagrams())
    names = f"ALLOWED, OTHER, SHARED, SHARED6 = {(ALLOWED, OTHER, SHARED4, SHARED6)!r}\n"
    got = json.loads(strict.python(CLIENT + names + TWICE + f"import json\nprint(json.dumps(bool({expression})))", timeout=60))
    assert got == passes
    arrived = len(servers.quic_datagrams()) - before
    first = "twice" in way or "twice(" in expression or "moves" in way
    if not passes:
        assert arrived == int(first), "nothing of what was refused has left"


def test_a_refusal_is_quick(strict, servers):
    out = strict.python(CLIENT + f"""
import time
s = quic_socket({SHARED4!r})
start = time.monotonic()
s.send(whole({OTHER!r}))
try:
    s.recv(10)
except OSError as error:
    print(type(error).__name__, error.errno, time.monotonic() - start < 1)
""")
    assert out.split()[-1] == "True" and "113" in out, "EHOSTUNREACH at once"
