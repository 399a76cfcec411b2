"""Published ports: who reaches the guest, as whom, and what is said where it cannot be."""

import re

import pytest

from lab.guest import said

HOST4, HOST6 = "198.51.100.1", "2001:db8:1::1"
BOTH = pytest.mark.parametrize("address", [HOST4, HOST6], ids=["v4", "v6"])
LOOPBACKS = pytest.mark.parametrize("address, gateway", [("127.0.0.1", "10.0.2.2"), ("::1", "fd00::2")], ids=["v4", "v6"])

# Tells every client who it is, and gives back all that it sends, until its FIN.
TCP_SERVER = """
import socket, threading
def serve(c, a):
    with c:
        c.sendall((a[0] + ' ' + str(a[1]) + '\\n').encode())
        while True:
            data = c.recv(65536)
            if not data:
                return
            c.sendall(data)
def listen(family, address, port):
    s = socket.socket(family)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((address, port))
    s.listen(4096)
    while True:
        c, a = s.accept()
        threading.Thread(target=serve, args=(c, a), daemon=True).start()
for port in %(ports)r:
    for family, address in ((socket.AF_INET, '0.0.0.0'), (socket.AF_INET6, '::')):
        threading.Thread(target=listen, args=(family, address, port)).start()
print('listening', flush=True)
"""
UDP_SERVER = """
import socket, threading
def serve(family, address):
    s = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((address, %(port)d))
    while True:
        data, a = s.recvfrom(65536)
        s.sendto((a[0] + ' ' + str(a[1]) + '\\n').encode() + data, a)
for family, address in ((socket.AF_INET, '0.0.0.0'), (socket.AF_INET6, '::')):
    threading.Thread(target=serve, args=(family, address)).start()
print('listening', flush=True)
"""
TCP_CLIENT = """
import socket, sys
s = socket.create_connection(({address!r}, {port}), 10)
f = s.makefile('rwb')
print(f.readline().decode().strip(), s.getsockname()[1])
"""


def serve(guest, code):
    process = guest.popen(["/usr/bin/python3", "-c", code], stdout=-1, text=True)
    assert process.stdout.readline() == "listening\n"
    return process


@pytest.fixture
def published(lab, make_guest):
    """published(*options, ports=…) -> a guest with servers on the ports, TCP and UDP."""
    servers = []

    def make(*options, ports=(80,), udp=None):
        guest = make_guest(*options)
        servers.append(serve(guest, TCP_SERVER % {"ports": list(ports)}))
        if udp:
            servers.append(serve(guest, UDP_SERVER % {"port": udp}))
        return guest

    yield make
    for server in servers:
        lab.stop(server)


def client(lab, code, namespace=None, timeout=30):
    done = lab.user_run(["/usr/bin/python3", "-c", code], timeout=timeout, namespace=namespace)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.core
@BOTH
def test_tcp_from_elsewhere_with_the_clients_address(lab, published, address):
    published("--publish", "8080:80")
    seen, seen_port, port = client(lab, TCP_CLIENT.format(address=address, port=8080), lab.wan)
    assert seen == {HOST4: "198.51.100.2", HOST6: "2001:db8:1::2"}[address]
    assert seen_port == port


@pytest.mark.core
@LOOPBACKS
def test_tcp_from_the_loopback_is_the_gateway(lab, published, address, gateway):
    published("-p", "tcp/8080:80")
    assert client(lab, TCP_CLIENT.format(address=address, port=8080))[0] == gateway


def test_only_the_address_that_was_asked_for(lab, published):
    published("-p", "127.0.0.1:8080:80")
    assert client(lab, TCP_CLIENT.format(address="127.0.0.1", port=8080))[0] == "10.0.2.2"
    refused = "import socket\ntry: socket.create_connection(({!r}, 8080), 5)\nexcept ConnectionRefusedError: print('refused')"
    assert client(lab, refused.format(HOST4)) == ["refused"]
    assert client(lab, refused.format("::1")) == ["refused"]


def test_a_range_in_order(lab, published):
    published("-p", "[::1]:8000-8002:90-92", ports=(90, 91, 92))
    for number in range(3):
        assert client(lab, TCP_CLIENT.format(address="::1", port=8000 + number))[0] == "fd00::2"
    assert published


def test_port_zero_says_which(lab, published):
    guest = published("-p", "127.0.0.1:0:80")
    found = re.search(r"127\.0\.0\.1:(\d+)", guest.messages())
    assert found, guest.messages()
    assert client(lab, TCP_CLIENT.format(address="127.0.0.1", port=int(found[1])))[0] == "10.0.2.2"


@pytest.mark.core
@BOTH
def test_udp_with_the_clients_address(lab, published, address):
    published("-p", "udp/5300:53", udp=53)
    code = f"""
import socket
family = socket.AF_INET6 if ':' in {address!r} else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.settimeout(10)
s.connect(({address!r}, 5300))
for size in (1, 1400, 60000):
    s.send(b'x' * size)
    who, _, rest = s.recv(65536).partition(b'\\n')
    assert rest == b'x' * size, (size, len(rest))
print(who.decode(), s.getsockname()[1])
"""
    seen, seen_port, port = client(lab, code, lab.wan)
    assert seen == {HOST4: "198.51.100.2", HOST6: "2001:db8:1::2"}[address]
    assert seen_port == port


@pytest.mark.core
@pytest.mark.parametrize("address", ["198.51.100.10", "2001:db8:1::10"], ids=["v4", "v6"])
def test_udp_answers_come_from_the_address_that_was_asked(lab, published, address):
    published("-p", "udp/5300:53", udp=53)
    code = f"""
import socket
s = socket.socket(socket.AF_INET6 if ':' in {address!r} else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
s.connect(({address!r}, 5300))  # takes nothing from any other address
s.send(b'x')
print(s.recv(100).decode().split()[0])
"""
    assert client(lab, code, lab.wan) == [{"198.51.100.10": "198.51.100.2", "2001:db8:1::10": "2001:db8:1::2"}[address]]


@pytest.mark.core
@LOOPBACKS
def test_udp_from_the_loopback_is_the_gateway(lab, published, address, gateway):
    published("-p", "udp/5300:53", udp=53)
    code = f"""
import socket
s = socket.socket(socket.AF_INET6 if ':' in {address!r} else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
s.connect(({address!r}, 5300))
s.send(b'hello')
print(s.recv(100).decode())
"""
    assert client(lab, code)[0] == gateway


@pytest.mark.core
def test_a_port_that_the_guest_refuses_resets_the_client(lab, published):
    published("-p", "8080:81")
    code = """
import socket, time
start = time.monotonic()
try:
    s = socket.create_connection(('127.0.0.1', 8080), 5)
    print(s.recv(1) or 'end', time.monotonic() - start)
except ConnectionResetError:
    print('reset', time.monotonic() - start)
"""
    result, seconds = client(lab, code)
    assert result == "reset"
    assert float(seconds) < 1


@pytest.mark.core
def test_half_close_both_ways(lab, published):
    published("-p", "8080:80")
    code = """
import socket
s = socket.create_connection(('127.0.0.1', 8080), 10)
s.sendall(b'x' * 300000)
s.shutdown(socket.SHUT_WR)
f = s.makefile('rb')
f.readline()
print(len(f.read()))
"""
    assert client(lab, code) == ["300000"]

@pytest.mark.core
@BOTH
def test_a_thousand_at_once(lab, published, address, sanitized):
    published("-p", "8080:80")
    code = f"""
import resource, selectors, socket, time
limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
family = socket.AF_INET6 if ':' in {address!r} else socket.AF_INET
sockets = []
for number in range(1000):
    s = socket.socket(family)
    s.setblocking(False)
    s.connect_ex(({address!r}, 8080))
    sockets.append(s)
good = 0
for number, s in enumerate(sockets):
    s.settimeout(60)
    message = b'%06d' % number
    while True:
        try:
            s.sendall(message)
            break
        except BlockingIOError:
            pass
for number, s in enumerate(sockets):
    got = b''
    while not got.endswith(b'%06d' % number):
        piece = s.recv(1000)
        if not piece:
            break
        got += piece
    good += got.endswith(b'%06d' % number)
print(good)
"""
    assert client(lab, code, lab.wan, timeout=120) == ["1000"]


@pytest.mark.core
def test_much_both_ways(lab, published, sanitized):
    published("-p", "8080:80")
    code = f"""
import hashlib, socket, threading
s = socket.create_connection(('127.0.0.1', 8080), 30)
size = {20 if sanitized else 300} << 20
block = bytes(range(256)) * 4096
sent = hashlib.sha256()
def send():
    left = size
    while left:
        part = block[:min(left, len(block))]
        s.sendall(part)
        sent.update(part)
        left -= len(part)
    s.shutdown(socket.SHUT_WR)
threading.Thread(target=send).start()
f = s.makefile('rb')
f.readline()
heard = hashlib.sha256()
total = 0
while True:
    data = f.read(1 << 20)
    if not data:
        break
    heard.update(data)
    total += len(data)
print(total == size and heard.digest() == sent.digest())
"""
    assert client(lab, code, timeout=120) == ["True"]


def test_a_taken_port_is_named_and_nothing_is_left(lab, nothing_left):
    holder = lab.user_popen(["/usr/bin/python3", "-c",
                             "import socket,time\ns=socket.create_server(('127.0.0.1',8080))\nprint('up',flush=True)\ntime.sleep(60)"],
                            stdout=-1, text=True)
    try:
        assert holder.stdout.readline() == "up\n"
        done = lab.user_run([lab.binary, "run", "-p", "8070:80", "-p", "127.0.0.1:8080:80", "true"])
        assert done.returncode == 1
        (line,) = said(done)
        assert "TCP port 8080 on 127.0.0.1" in line and "in use" in line and "another port" in line
    finally:
        lab.stop(holder)


def test_a_low_port_names_the_remedy(lab):
    done = lab.user_run([lab.binary, "run", "-p", "udp/127.0.0.1:81:80", "true"])
    assert done.returncode == 1
    (line,) = said(done)
    assert "UDP port 81 on 127.0.0.1" in line and "net.ipv4.ip_unprivileged_port_start" in line


def test_a_foreign_address_is_named(lab):
    done = lab.user_run([lab.binary, "run", "-p", "203.0.113.77:8080:80", "true"])
    assert done.returncode == 1
    (line,) = said(done)
    assert "203.0.113.77" in line and "address of this host" in line
