#!/usr/bin/python3
"""A name server that says whatever helps a guest out, about names below evil.test: hostile_dns.py ADDRESS ALLOWED DENIED.

The first label says what the answer is like; ALLOWED and DENIED are IPv4 addresses that it gives out. Prints "ready".
RFC 1035 section 4.
"""

import socket
import struct
import sys
import threading

A, CNAME, AAAA = 1, 5, 28
ANSWER, AUTHORITY, ADDITIONAL = range(3)


def name(text):
    return b"".join(bytes([len(part)]) + part.encode() for part in text.split(".")) + b"\0"


def record(owner, kind, data, ttl=60):
    return name(owner) + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


def records(asked, allowed, denied):
    """By section, for a question about `asked`."""
    way = asked.split(".")[0].lower()
    four, bad = socket.inet_aton(allowed), socket.inet_aton(denied)
    a = lambda owner, data, ttl=60: record(owner, A, data, ttl)
    return {
        "plain": [[a(asked, bad)], [], []],
        "additional": [[a(asked, four)], [a(asked, bad)], [a(asked, bad), a("ns.evil.test", bad)]],
        "others": [[a(asked, four), a("denied.policy.test", bad), a("x.evil.test", bad)], [], []],
        "loop": [[record(asked, CNAME, name("b.evil.test")), record("b.evil.test", CNAME, name(asked)),
                  a("c.evil.test", bad)], [], []],
        "chain": [[record(asked if i == 0 else f"n{i}.evil.test", CNAME, name(f"n{i + 1}.evil.test")) for i in range(20)]
                  + [a("n20.evil.test", bad)], [], []],
        "zero": [[a(asked, bad, 0)], [], []],
        "negative": [[a(asked, bad, 0xffffffff)], [], []],
        "many": [[a(asked, socket.inet_aton(f"192.0.2.{i}")) for i in range(1, 200)] + [a(asked, bad)], [], []],
        "mapped": [[record(asked, AAAA, b"\0" * 10 + b"\xff\xff" + bad)], [], []],
        "loopback": [[a(asked, socket.inet_aton("127.0.0.1"))], [], []],
        "gateway": [[a(asked, socket.inet_aton("10.0.2.2"))], [], []],
        "short": [[name(asked) + struct.pack("!HHIH", A, 1, 60, 3) + bad[:3]], [], []],
    }.get(way, [[], [], []])


def answer(request, allowed, denied):
    labels, at = [], 12
    while request[at]:
        labels.append(request[at + 1:at + 1 + request[at]].decode("latin1"))
        at += 1 + request[at]
    question = request[12:at + 5]
    sections = records(".".join(labels), allowed, denied)
    if labels[0] == "lying":  # an answer to another question
        question = name("www.evil.test") + question[-4:]
        sections[ANSWER] = [record("www.evil.test", A, socket.inet_aton(denied))]
    return (request[:2] + struct.pack("!5H", 0x8580, 1, *(len(section) for section in sections)) + question
            + b"".join(b"".join(section) for section in sections))


def serve_tcp(listener, addresses):
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as stream:
            while len(prefix := stream.read(2)) == 2:
                reply = answer(stream.read(struct.unpack("!H", prefix)[0]), *addresses)
                connection.sendall(struct.pack("!H", len(reply)) + reply)


def main():
    at, *addresses = sys.argv[1:]
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((at, 53))
    threading.Thread(target=serve_tcp, args=(socket.create_server((at, 53)), addresses), daemon=True).start()
    print("ready", flush=True)
    while True:
        request, peer = udp.recvfrom(65535)
        udp.sendto(answer(request, *addresses), peer)


if __name__ == "__main__":
    main()
