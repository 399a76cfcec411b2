"""What the tests of ports to the guest's own loopback share: services for the inside, clients for the host."""

# Tells every client at which address it was reached, and gives back all that it sends, until its FIN.
TCP_SERVICE = """
import socket, threading
def serve(c):
    with c:
        c.sendall((c.getsockname()[0] + '\\n').encode())
        while True:
            data = c.recv(1 << 18)
            if not data:
                return
            c.sendall(data)
def listen(address, port):
    s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if ':' in address:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((address, port))
    s.listen(4096)
    while True:
        threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
for address, port in %r:
    threading.Thread(target=listen, args=(address, port)).start()
print('listening', flush=True)
"""
UDP_SERVICE = """
import socket, threading
def serve(address, port):
    s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, port))
    while True:
        data, a = s.recvfrom(65536)
        s.sendto((address + '\\n').encode() + data, a)
for address, port in %r:
    threading.Thread(target=serve, args=(address, port)).start()
print('listening', flush=True)
"""
# Prints the service's address, or "refused" or "reset".
ASK = """
import socket
try:
    s = socket.create_connection(({address!r}, {port}), 10)
    print(s.makefile('rb').readline().decode().strip() or 'end')
except ConnectionRefusedError:
    print('refused')
except ConnectionResetError:
    print('reset')
"""
ASK_UDP = """
import socket
s = socket.socket(socket.AF_INET6 if ':' in {address!r} else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(1)
s.connect(({address!r}, {port}))
for size in {sizes!r}:
    try:
        s.send(b'x' * size)
        who, _, rest = s.recv(65536).partition(b'\\n')
        assert rest == b'x' * size, (size, len(rest))
    except (OSError, TimeoutError):
        who = b'nothing'
print(who.decode())
"""


def python(code):
    return ["/usr/bin/python3", "-c", code]


def start(inside, code):
    """`inside` has popen(argv): a guest, a container, a session."""
    process = inside.popen(python(code), stdout=-1, text=True)
    assert process.stdout.readline() == "listening\n"
    return process


def client(lab, code, timeout=30):
    """On the host; the words that it prints."""
    done = lab.user_run(python(code), timeout=timeout)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def ask(lab, address, port):
    return client(lab, ASK.format(address=address, port=port))[0]


def ask_udp(lab, address, port, sizes=(1,)):
    return client(lab, ASK_UDP.format(address=address, port=port, sizes=sizes))[0]
