"""The servers of one namespace: python3 -m lab.servers ROLE. Prints "ready" once all of them listen.

TCP: 7 echo, 9 discard, 13 greets and closes at once, 5001 reads slowly then reports, 5002 resets after the first byte,
     5003 reads to the end and only then replies (half-close), 5004 ends its own direction first, 5005 tells the peer
UDP: 7 echo, 5005 tells the peer.  HTTP: 80 and 8080.  DNS: see ROLES.  5201..5204: iperf3.
"""

import contextlib
import hashlib
import pathlib
import socket
import struct
import subprocess
import sys
import threading
import time

from . import world
from .dns_server import DnsServer, log_path
from .http_server import HttpServer

SLOW_READER_PAUSE = 0.01  # seconds between two reads of 64 KiB


def _peer(address):
    return f"{address[0].removeprefix('::ffff:')} {address[1]}\n".encode()


def _echo(connection, _):
    while (data := connection.recv(1 << 18)):
        connection.sendall(data)


def _discard(connection, _):
    while connection.recv(1 << 18):
        pass


def _greet(connection, _):
    connection.sendall(b"greetings\n")


def _read_slowly(connection, _):
    digest, length = hashlib.sha256(), 0
    while (data := connection.recv(1 << 16)):
        digest.update(data)
        length += len(data)
        time.sleep(SLOW_READER_PAUSE)
    connection.sendall(f"{digest.hexdigest()} {length}\n".encode())


def _reset(connection, _):
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _reply_after_end(connection, _):
    digest, length = hashlib.sha256(), 0
    while (data := connection.recv(1 << 18)):
        digest.update(data)
        length += len(data)
    connection.sendall(f"{digest.hexdigest()} {length}\n".encode())


def _end_first(connection, _):
    """Close our direction at once, then read on; the file shows what still arrived."""
    connection.sendall(b"bye\n")
    connection.shutdown(socket.SHUT_WR)
    received = b""
    while (data := connection.recv(1 << 16)):
        received += data
    (world.ROOT / "log" / "ended-first").write_bytes(received)


def _tell_peer(connection, address):
    connection.sendall(_peer(address))


_TCP = {7: _echo, 9: _discard, 13: _greet, 5001: _read_slowly, 5002: _reset, 5003: _reply_after_end, 5004: _end_first,
        5005: _tell_peer}


def _tcp_loop(listener, serve):
    def one(connection, address):
        with connection, contextlib.suppress(OSError):
            serve(connection, address)

    while True:
        connection, address = listener.accept()
        threading.Thread(target=one, args=(connection, address), daemon=True).start()


def _udp_loop(server, reply):
    while True:
        with contextlib.suppress(OSError):  # an ICMP error of an earlier reply
            data, address = server.recvfrom(65535)
            server.sendto(reply(data, address), address)


def start_tcp(port, serve):
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
    if serve is _read_slowly:  # a small, fixed buffer: the sender feels the reader's pace soon
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 128 * 1024)
    threading.Thread(target=_tcp_loop, args=(listener, serve), daemon=True).start()


def start_udp(port, reply, family, bind):
    # One socket per address, so that the reply leaves from the address that the datagram came to.
    server = socket.socket(family, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    server.bind((bind, port))
    threading.Thread(target=_udp_loop, args=(server, reply), daemon=True).start()


def _start_common(addresses):
    threading.stack_size(256 * 1024)
    for port, serve in _TCP.items():
        start_tcp(port, serve)
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        start_udp(7, lambda data, _: data, family, address)
        start_udp(5005, lambda _, peer: _peer(peer), family, address)


def _start_iperf(ports):
    for port in ports:
        subprocess.Popen(["iperf3", "-s", "-p", str(port)], stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL, preexec_fn=world.die_with_parent)
    for port in ports:
        deadline = time.monotonic() + 5
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if time.monotonic() > deadline:
                raise world.LabError(f"iperf3 does not listen on port {port}")
            time.sleep(0.02)


def _wan(log):
    _start_common(["198.51.100.2", "198.51.100.53", "2001:db8:1::2", "2001:db8:1::53"])
    HttpServer(world.ROOT / "tmp", 80)
    HttpServer(world.ROOT / "tmp", 8080)
    DnsServer("wan", "198.51.100.2", log=log)
    DnsServer("wan6", "2001:db8:1::2", log=log)
    DnsServer("second", "198.51.100.53", log=log)
    DnsServer("second6", "2001:db8:1::53", log=log)
    DnsServer("silent", "198.51.100.54", log=log, silent=True)
    DnsServer("late", "198.51.100.55", log=log, late=4.5)
    _start_iperf([5201, 5202])


def _host(log):
    """What only the host itself may reach: --host-loopback, and the stub resolvers."""
    DnsServer("stub4", "127.0.0.53", log=log)
    DnsServer("stub6", "::1", log=log)
    for address in ("127.0.0.1", "::1"):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.create_server((address, 8099), family=family)
        threading.Thread(target=_tcp_loop, args=(listener, _tell_peer), daemon=True).start()
        start_udp(8099, lambda _, peer: _peer(peer), family, address)


def main():
    role = sys.argv[1]
    log = log_path(world.ROOT / "log")
    pathlib.Path(log).touch()
    if role == "wan":
        _wan(log)
    elif role == "host":
        _host(log)
    elif role == "far":
        _start_common(["203.0.113.2", "2001:db8:2::2"])
        HttpServer(world.ROOT / "tmp", 80)
    elif role == "slow":
        _start_common(["192.0.2.2", "2001:db8:3::2"])
        _start_iperf([5201, 5202, 5203, 5204])
    else:
        raise SystemExit(f"servers: no such role: {role}")
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
