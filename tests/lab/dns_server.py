"""A small authoritative DNS server for the zone lab.test. Every instance has a label, so that tests see who answered.

dig TXT whoami.lab.test  -> the label;  big.lab.test TXT -> about 3 KB;  huge.lab.test TXT -> about 60 KB (TCP only).
Every question is appended to a log: "label protocol name type". RFC 1035 section 4, RFC 6891 (EDNS payload size).
"""

import os
import socket
import struct
import threading
import time

A, PTR, TXT, AAAA, OPT = 1, 12, 16, 28, 41


def _name(text):
    return b"".join(bytes([len(part)]) + part.encode() for part in text.split(".")) + b"\0"


def _txt(*strings):
    return b"".join(bytes([len(s)]) + s for s in (value.encode() for value in strings))


def _address(text):
    return (AAAA, socket.inet_pton(socket.AF_INET6, text)) if ":" in text else (A, socket.inet_aton(text))


def _zone(label):
    zone = {}
    hosts = {
        "wan.lab.test": ("198.51.100.2", "2001:db8:1::2"),
        "far.lab.test": ("203.0.113.2", "2001:db8:2::2"),
        "slow.lab.test": ("192.0.2.2", "2001:db8:3::2"),
        "v4.lab.test": ("198.51.100.2",),
        "v6.lab.test": ("2001:db8:1::2",),
        "www.gnu.org": ("198.51.100.2", "2001:db8:1::2"),
    }
    for name, addresses in hosts.items():
        for kind, data in map(_address, addresses):
            zone.setdefault((name, kind), []).append(data)
    zone[("whoami.lab.test", TXT)] = [_txt(label)]
    zone[("big.lab.test", TXT)] = [_txt(f"{i:03}" + "b" * 197) for i in range(14)]
    zone[("huge.lab.test", TXT)] = [_txt(f"{i:03}" + "h" * 237) for i in range(238)]
    zone[("2.100.51.198.in-addr.arpa", PTR)] = [_name("wan.lab.test")]
    return zone


class DnsServer:
    def __init__(self, label, address, port=53, log=None, silent=False, late=0.0):
        self.label, self.log, self.silent, self.late = label, log, silent, late
        self.zone = _zone(label)
        self.names = {name for name, _ in self.zone}
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.udp = socket.socket(family, socket.SOCK_DGRAM)
        self.tcp = socket.socket(family, socket.SOCK_STREAM)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for each in (self.udp, self.tcp):
            each.bind((address, port))
        self.tcp.listen(64)
        for serve in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    def _serve_udp(self):
        while True:
            request, peer = self.udp.recvfrom(65535)
            reply = self.answer(request, "udp")
            if reply and not self.silent:
                self.udp.sendto(reply, peer)

    def _serve_tcp(self):
        while True:
            connection, _ = self.tcp.accept()
            threading.Thread(target=self._serve_connection, args=(connection,), daemon=True).start()

    def _serve_connection(self, connection):
        with connection, connection.makefile("rb") as stream:
            while True:
                prefix = stream.read(2)
                if len(prefix) < 2:
                    return
                reply = self.answer(stream.read(struct.unpack("!H", prefix)[0]), "tcp")
                time.sleep(self.late)
                if reply and not self.silent:
                    connection.sendall(struct.pack("!H", len(reply)) + reply)

    def answer(self, request, protocol):
        try:
            name, kind, end = self._question(request)
        except (IndexError, struct.error, UnicodeDecodeError):
            return None
        if self.log:
            with open(self.log, "a", encoding="utf-8") as log:
                log.write(f"{self.label} {protocol} {name} {kind}\n")
        limit = 65535 if protocol == "tcp" else max(512, self._edns_size(request, end))
        records = self.zone.get((name, kind), [])
        code = 0 if name in self.names else 3  # NXDOMAIN
        body = b"".join(struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(data)) + data for data in records)
        flags = 0x8400 | (struct.unpack("!H", request[2:4])[0] & 0x0100) | 0x0080 | code
        if 12 + len(request[12:end]) + len(body) > limit:
            flags, records, body = flags | 0x0200, [], b""  # TC: ask again over TCP
        return request[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + request[12:end] + body

    @staticmethod
    def _question(request):
        labels, at = [], 12
        while request[at]:
            labels.append(request[at + 1 : at + 1 + request[at]].decode("ascii").lower())
            at += 1 + request[at]
        return ".".join(labels), struct.unpack("!H", request[at + 1 : at + 3])[0], at + 5

    @staticmethod
    def _edns_size(request, end):
        extra = request[end:]
        if struct.unpack("!H", request[10:12])[0] and len(extra) >= 11 and extra[0] == 0:
            kind, size = struct.unpack("!HH", extra[1:5])
            return size if kind == OPT else 512
        return 512


def log_path(folder):
    return os.path.join(folder, "dns")
