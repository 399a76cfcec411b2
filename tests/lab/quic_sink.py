#!/usr/bin/python3
"""Answers each datagram at UDP port 443 of the given addresses, and writes what has come, in hex, to standard output."""

import select
import socket
import sys

sockets = []
for address in sys.argv[1:]:
    one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    one.bind((address, 443))
    sockets.append(one)
print("ready", flush=True)
while True:
    for one in select.select(sockets, [], [])[0]:
        data, peer = one.recvfrom(65536)
        print(data.hex(), flush=True)
        one.sendto(b"\x40seen", peer)
