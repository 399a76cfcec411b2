"""How many system calls the program makes, counted by strace: no timing. Under strace it is slower than the guest, so
that more is gathered per turn; the same counts without a kernel, and allocations, are in tests/unit/engine/budget_test.cc.

Beside each limit: what it was when the limit was set.
"""

import contextlib
import os
import re
import signal
import subprocess

import pytest

from lab import content
from lab.guest import wait_for
from lab.network import WAN4, WAN6

pytestmark = [
    pytest.mark.release,  # sanitizers make calls of their own
    pytest.mark.skipif("--threads" in os.environ.get("SF_TEST_OPTIONS", ""), reason="the limits are those of one thread"),
]

ADDRESSES = pytest.mark.parametrize("address", [WAN4, WAN6], ids=["v4", "v6"])
MIB = 64


@pytest.fixture(scope="module")
def file(lab):
    path = lab.tmp / "counted"
    content.write(path, MIB << 20)
    path.chmod(0o644)
    yield path.name
    path.unlink()


@contextlib.contextmanager
def counted(lab, guest):
    """A dictionary that has the calls by name at the end."""
    out = lab.path("strace")
    tracer = lab.popen(["strace", "-c", "-f", "-o", out, "-p", guest.forwarder], stderr=subprocess.PIPE)
    calls = {}
    try:
        wait_for(lambda: re.search(r"TracerPid:\s+[1-9]", status(guest.forwarder)), 10, "strace")
        yield calls
    finally:
        lab.stop(tracer, signal.SIGINT)
    for line in out.read_text(encoding="utf-8").splitlines()[2:]:
        fields = line.split()
        if len(fields) >= 5 and fields[3].isdigit() and fields[-1] != "total":
            calls[fields[-1]] = int(fields[3])


def status(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return file.read()


def tcp(address, port, upload):
    """Moves MIB one way, and nothing back."""
    body = (f"data = bytes(1 << 20)\nfor _ in range({MIB}): s.sendall(data)\ns.shutdown(socket.SHUT_WR)\nprint(s.recv(200).split()[1])"
            if upload else "print(sum(len(d) for d in iter(lambda: s.recv(1 << 20), b'')))")
    return f"import socket\ns = socket.create_connection(({address!r}, {port}))\ns.settimeout(60)\n{body}"


def assert_few(lab, guest, most, move):
    """Calls for 64 KiB, of the best of three: on a busy machine one side may wait for the other, and each wait is a call."""
    for last in (False, False, True):
        with counted(lab, guest) as calls:
            move()
        if sum(calls.values()) / (MIB << 4) <= most:
            return
        assert not last, calls


@ADDRESSES
def test_tcp_from_the_guest(lab, guest, address):
    def move():
        assert str(MIB << 20) in guest.python(tcp(address, 5003, True), timeout=60)

    assert_few(lab, guest, 2.6, move)  # 2.47 to 2.52: 1.1 sendmsg, 1.1 readv, 0.25 ACKs


@ADDRESSES
def test_tcp_to_the_guest(lab, guest, file, address):
    base = f"http://[{address}]" if ":" in address else f"http://{address}"

    def move():
        assert int(guest.out(f"curl -sS --max-time 60 {base}/file/{file} | wc -c", timeout=60)) == MIB << 20

    assert_few(lab, guest, 1.5, move)  # 0.98: a quarter each of recvmsg, writev, readv (ACKs), and waits


@ADDRESSES
def test_udp_from_the_guest(lab, guest, address):
    """Bursts of 32 datagrams: each is received by itself, and all leave as few messages."""
    with counted(lab, guest) as calls:
        guest.python(f"""
import socket, time
s = socket.socket(socket.AF_INET6 if ':' in {address!r} else socket.AF_INET, socket.SOCK_DGRAM)
s.connect(({address!r}, 9999))
for _ in range(100):
    for _ in range(32):
        with __import__('contextlib').suppress(OSError):
            s.send(bytes(1400))
    time.sleep(0.005)
""", timeout=60)
    sends = calls.get("sendmsg", 0) + calls.get("sendmmsg", 0)
    assert sends <= 3200 / 4, calls  # 100 to 190; 3200 without gathering


@ADDRESSES
def test_connections(lab, guest, address):
    """Connect, one message, close: the calls of one connection."""
    with counted(lab, guest) as calls:
        out = guest.python(f"""
import socket
for _ in range(200):
    with socket.create_connection(({address!r}, 13)) as s:
        while s.recv(100):
            pass
print('done')
""", timeout=60)
    assert out.strip() == "done"
    assert sum(calls.values()) / 200 <= 32, calls  # 24 to 25
