"""Without the kernel's help: --offload=off, and kernels that lack one thing or another. Everything still works."""

import pytest

from lab.network import HOST4, WAN4, WAN6

pytestmark = pytest.mark.core

SIZE = 24 << 20

# Echoes of what the two directions gather: equal neighbours, mixed sizes, the guest's own super-frames, and
# datagrams above the MTU. Prints how often something came back wrong.
UDP = """
import socket, sys
bad = 0
for address in sys.argv[1:]:
    s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(5)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    s.connect((address, 7))
    def echo(sent, gso=0):
        global bad
        s.setsockopt(17, 103, gso)
        for data in [b''.join(sent)] if gso else sent:
            s.send(data)
        bad += sorted(s.recv(70000) for _ in sent) != sorted(sent)  # a veth may change their order
    for turn in range(20):
        echo([b'%05d' % (turn * 32 + i) * 240 for i in range(32)])
        echo([bytes([i]) * (1 + (i * 977 + turn * 131) % 1400) for i in range(24)])
        echo([bytes([i]) * 1000 for i in range(20)] + [b'tail'], gso=1000)
        echo([bytes([i]) * 4000 for i in range(4)])
print(bad)
"""
TCP = f"""
import hashlib, socket, sys, threading
bad = 0
for address in sys.argv[1:]:
    s = socket.create_connection((address, 7))
    s.settimeout(20)
    data = bytes(range(256)) * ({SIZE} // 256)
    def feed():
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
    threading.Thread(target=feed).start()
    digest = hashlib.sha256()
    while got := s.recv(1 << 18):
        digest.update(got)
    bad += digest.digest() != hashlib.sha256(data).digest()
print(bad)
"""


def check(guest):
    for code in (UDP, TCP):
        assert guest.out(["/usr/bin/python3", "-c", code, WAN4, WAN6], timeout=60).strip() == "0", guest.messages()


def features(guest):
    lines = guest.out("ethtool -k tap0").splitlines()
    return {name.strip(): state.split()[0] for name, state in (line.split(":") for line in lines if ": " in line)}


def test_off(lab, make_guest):
    guest = make_guest("--offload=off", "-p", f"udp/{HOST4}:9011:9011", "--log-level", "debug")
    seen = features(guest)
    for name in ("tx-checksum-ip-generic", "tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-udp-segmentation"):
        assert seen[name] == "off", name
    check(guest)
    assert guest.run(["ping", "-c", "2", "-i", "0.2", "-s", "3000", WAN4]).returncode == 0
    assert "198.51.100.2" in guest.out("dig +short wan.lab.test")
    # That nothing is missing is what was asked for.
    assert "refuse" not in guest.messages() and "does not work" not in guest.messages()


def test_on(make_guest):
    """What the others are compared with: all that this kernel has is on."""
    guest = make_guest("--offload=on")
    assert features(guest)["tx-tcp-segmentation"] == features(guest)["tx-checksum-ip-generic"] == "on"


@pytest.mark.parametrize("lacks,said,feature", [
    ("uso", "no UDP segmentation on the TAP", "tx-udp-segmentation"),
    ("tso6", "refuses TCP segmentation over IPv6 on the TAP", "tx-tcp6-segmentation"),
    ("tso", "refuses TCP segmentation over IPv4 and IPv6 on the TAP", "tx-tcp-segmentation"),
    ("offloads", "refuses the offloads of the TAP", "tx-checksum-ip-generic"),
    ("big_tcp", "no TCP frames above 64 KiB", None),
    ("udp_segment", "UDP_SEGMENT does not work here", None),
    ("udp_gro", "UDP_GRO does not work here", None),
    ("sendmmsg", "sendmmsg(2) does not work here", None),
    ("recvmmsg", "recvmmsg(2) does not work here", None),
    ("udp_segment,udp_gro,sendmmsg,recvmmsg,uso", "does not work here", None),
])
def test_a_kernel_that_lacks(make_guest, lacks, said, feature):
    guest = make_guest("--log-level", "debug", lacking=lacks.split(","))
    check(guest)
    if feature:
        assert features(guest)[feature] == "off"
    assert guest.messages().count(said) == (4 if "," in lacks else 1), guest.messages()


def test_threads_say_it_once(make_guest):
    """Each of them finds it out by itself: sockets are a thread's own."""
    guest = make_guest("--log-level", "debug", "--threads", "4", lacking=["udp_segment", "udp_gro", "sendmmsg", "recvmmsg"])
    for _ in range(3):
        check(guest)
    lines = [line for line in guest.messages().splitlines() if "does not work here" in line]
    assert len(lines) == len(set(lines)) == 4, lines
