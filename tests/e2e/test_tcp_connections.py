"""How connections begin and end: many at once, refused, unreachable, half-closed, reset, slow."""

import hashlib
import subprocess

import pytest

from lab.guest import wait_for
from lab.network import BLACKHOLE4, UNREACHABLE4, UNREACHABLE6, WAN4, WAN6

pytestmark = pytest.mark.core

BOTH = pytest.mark.parametrize("address", [WAN4, WAN6], ids=["v4", "v6"])
CONNECT = """
import errno, socket, time
start = time.monotonic()
try:
    socket.create_connection(({address!r}, {port}), {timeout})
    result = "connected"
except TimeoutError as e:
    result = "ETIMEDOUT" if e.errno else "waiting"
except OSError as e:
    result = errno.errorcode[e.errno]
print(result, time.monotonic() - start)
"""


def connect(guest, address, port, timeout=10):
    result, seconds = guest.python(CONNECT.format(address=address, port=port, timeout=timeout), timeout + 10).split()
    return result, float(seconds)


@BOTH
def test_five_hundred_at_once(guest, address):
    out = guest.python(f"""
import resource, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096)) if resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= 4096 else None
family = socket.AF_INET6 if ':' in {address!r} else socket.AF_INET
sockets = []
for _ in range(500):
    s = socket.socket(family)
    s.setblocking(False)
    s.connect_ex(({address!r}, 7))
    sockets.append(s)
for number, s in enumerate(sockets):
    s.settimeout(20)
    while True:
        try:
            s.sendall(b'%06d' % number * 500)
            break
        except BlockingIOError:
            pass
good = 0
for number, s in enumerate(sockets):
    got = b''
    while len(got) < 3000:
        piece = s.recv(3000 - len(got))
        if not piece:
            break
        got += piece
    good += got == b'%06d' % number * 500
print(good)
""", timeout=90)
    assert out.strip() == "500"


def test_many_short_ones_leave_nothing(guest):
    """Two thousand connect, answer, close; afterwards the program holds no more descriptors than before."""
    import os

    def descriptors():
        return len(os.listdir(f"/proc/{guest.forwarder}/fd"))

    before = descriptors()
    out = guest.python(f"""
import socket
good = 0
for _ in range(2000):
    with socket.create_connection(({WAN4!r}, 13), 10) as s:
        good += s.recv(100) == b'greetings\\n'
print(good)
""", timeout=120)
    assert out.strip() == "2000"
    wait_for(lambda: descriptors() <= before + 5, 30, "the connections' descriptors to be closed")


@BOTH
def test_refused_at_once(guest, address):
    result, seconds = connect(guest, address, 81)
    assert result == "ECONNREFUSED"
    assert seconds < 1


@pytest.mark.parametrize("address", [UNREACHABLE4, UNREACHABLE6], ids=["v4", "v6"])
def test_unreachable_at_once(guest, address):
    result, seconds = connect(guest, address, 80)
    assert result in ("EHOSTUNREACH", "ENETUNREACH")
    assert seconds < 1


def test_no_answer_is_not_an_answer(guest):
    """A black hole: the guest must neither see a connection nor an error before the host does."""
    assert connect(guest, BLACKHOLE4, 80, timeout=3)[0] == "waiting"


@BOTH
def test_half_close_from_guest(guest, address):
    text = "x" * 100_000
    out = guest.out(f"head -c 100000 /dev/zero | tr '\\0' x | timeout 10 nc -N {address} 5003")
    assert out.split() == [hashlib.sha256(text.encode()).hexdigest(), "100000"]


@BOTH
def test_half_close_from_server(lab, guest, address):
    """The server ends its direction first; what the guest sends afterwards still arrives."""
    from lab.guest import wait_for

    record = lab.log / "ended-first"
    record.unlink(missing_ok=True)
    out = guest.python(f"""
import socket, time
s = socket.create_connection(({address!r}, 5004), 10)
print(s.makefile('rb').read())
time.sleep(0.3)
s.sendall(b'after your end')
s.shutdown(socket.SHUT_WR)
""")
    assert out.strip() == "b'bye\\n'"
    wait_for(record.exists, 5, "the server to see our end")
    wait_for(lambda: record.read_bytes() == b"after your end", 5, "the server to have all")


@BOTH
def test_reset_by_server(guest, address):
    out = guest.python(f"""
import socket
s = socket.create_connection(({address!r}, 5002), 10)
s.sendall(b'x')
try:
    print(s.recv(10))
except ConnectionResetError:
    print('reset')
""")
    assert out.strip() == "reset"


def test_reset_by_guest(lab, guest):
    """SO_LINGER 0 in the guest must reset the host's connection too, not close it in order."""
    before = _resets(lab)
    guest.python(f"""
import socket, struct
s = socket.create_connection(({WAN4!r}, 7), 10)
s.sendall(b'x')
s.recv(1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
s.close()
""")
    from lab.guest import wait_for

    wait_for(lambda: _resets(lab) > before, 5, "the server's connection to be reset")


def _resets(lab):
    text = lab.wan.run(["nstat", "-saz", "TcpEstabResets"], capture_output=True).stdout
    return int(text.split("TcpEstabResets")[1].split()[0])


@BOTH
def test_slow_reader(guest, address):
    """The upload to a server that reads 64 KiB every 10 ms neither stalls nor retransmits."""
    before = guest.counters()
    size = 24 << 20
    out = guest.python(f"""
import hashlib, socket, time
data = bytes(i * 7 % 256 for i in range(65536)) * ({size} // 65536)
s = socket.create_connection(({address!r}, 5001), 10)
s.settimeout(60)
start, gap, view = time.monotonic(), 0, memoryview(data)
while view:
    at = time.monotonic()
    view = view[s.send(view[:65536]):]
    gap = max(gap, time.monotonic() - at)
s.shutdown(socket.SHUT_WR)
digest, length = s.makefile().read().split()
print(digest == hashlib.sha256(data).hexdigest(), length, gap, time.monotonic() - start)
""", timeout=90)
    good, length, gap, seconds = out.split()
    assert (good, int(length)) == ("True", size)
    after = guest.counters()
    # The guest's kernel probes for a loss where it hears nothing for 8 ms: a busy machine, not ours to retransmit.
    grown = {name: after[name] - before[name] for name in ("TcpRetransSegs", "TcpExtTCPLossProbes", "TcpExtTCPTimeouts")}
    assert grown["TcpRetransSegs"] <= grown["TcpExtTCPLossProbes"] <= 8, grown
    assert grown["TcpExtTCPTimeouts"] == 0
    assert float(gap) < 2, "the sender was stopped for longer than the reader needs"
    reader = size / 65536 * 0.0115  # its pauses, with the reading itself
    assert float(seconds) < 1.5 * reader + 2


def test_guest_that_does_not_read(guest):
    """A download whose reader sleeps fills buffers and no more, then goes on where it stopped."""
    out = guest.python(f"""
import hashlib, socket, time
s = socket.create_connection(({WAN4!r}, 7), 10)
s.settimeout(30)
data = bytes(range(256)) * 4096 * 8
import threading
def feed():
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)
t = threading.Thread(target=feed)
t.start()
time.sleep(3)
digest, length = hashlib.sha256(), 0
while got := s.recv(1 << 16):
    digest.update(got)
    length += len(got)
print(length == len(data), digest.digest() == hashlib.sha256(data).digest())
""", timeout=60)
    assert out.split() == ["True", "True"]




def test_keep_alive_where_the_guest_asks_for_it(lab, guest):
    """The guest's probes end at the program; the host's socket sends its own to the far end then, and only then."""
    def timers():
        text = lab.host.run(["ss", "-tno", "state", "established", "dport", "=", ":7"], capture_output=True).stdout
        return ["keepalive" in line for line in text.splitlines()[1:]]

    code = """
import socket, sys
plain = socket.create_connection(('%s', 7))
asks = socket.create_connection(('%s', 7))
for s in (plain, asks):
    s.send(b'x')
    s.recv(1)
asks.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
asks.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
print('ready', flush=True)
sys.stdin.read()
""" % (WAN4, WAN4)
    client = guest.popen(["/usr/bin/python3", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert client.stdout.readline() == "ready\n"
    assert timers() == [False, False]
    wait_for(lambda: sorted(timers()) == [False, True], 5, "the host's probes")
    lab.stop(client)
