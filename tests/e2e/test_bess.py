"""slirp4netns --target-type=bess: Ethernet frames over a socket of packets, one of them each."""

import contextlib
import hashlib
import signal
import socket
import subprocess

import pytest
from scapy.all import ARP, BOOTP, DHCP, DNS, DNSQR, ICMP, IP, TCP, UDP, Ether, IPv6, ICMPv6EchoReply, ICMPv6EchoRequest
from scapy.all import ICMPv6ND_RA, ICMPv6ND_RS, Raw

from lab import content
from lab.container import Container, start_ready, stop_ready
from lab.guest import said
from lab.network import WAN4, WAN6

MAC, GATEWAY = "02:00:00:00:00:07", "52:55:0a:00:02:02"
ME = "10.0.2.100"


@pytest.fixture
def path(lab):
    return lab.path("bess")


@pytest.fixture
def start(lab, path):
    """start(*words) -> the process, once it is ready."""
    started = []

    def do(*words):
        started.append(start_ready(lab, [lab.slirp4netns, "--target-type=bess", "-r", "{ready}", *words, str(path)]))
        return started[-1]

    yield do
    for process in started:
        stop_ready(lab, process)


class Peer:
    """Sends and receives frames, as a virtual machine would."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(5)
        self.socket.connect(str(path))

    def send(self, packet, to=GATEWAY):
        self.socket.send(bytes(Ether(src=MAC, dst=to) / packet))

    def receive(self, layer, condition=lambda frame: True):
        """The next frame with this layer that is as wanted."""
        while True:
            frame = Ether(self.socket.recv(65536))
            if layer in frame and condition(frame):
                return frame

    def close(self):
        self.socket.close()


@pytest.fixture
def peer(path, start):
    start()
    with contextlib.closing(Peer(path)) as it:
        yield it


@pytest.mark.core
def test_arp(peer):
    peer.send(ARP(hwsrc=MAC, psrc=ME, pdst="10.0.2.2"), "ff:ff:ff:ff:ff:ff")
    reply = peer.receive(ARP)
    assert (reply.src, reply.dst, reply[ARP].hwsrc, reply[ARP].psrc) == (GATEWAY, MAC, GATEWAY, "10.0.2.2")


@pytest.mark.core
def test_ping(peer):
    for target in ("10.0.2.2", WAN4):
        peer.send(IP(src=ME, dst=target) / ICMP(id=7, seq=1) / b"payload")
        reply = peer.receive(ICMP)
        assert (reply[IP].src, reply[ICMP].type, reply[Raw].load) == (target, 0, b"payload")


@pytest.mark.core
def test_dhcp(peer):
    def dhcp(kind, *options):
        peer.send(IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) /
                  BOOTP(chaddr=bytes.fromhex(MAC.replace(":", "")), xid=7) /
                  DHCP(options=[("message-type", kind), *options, "end"]), "ff:ff:ff:ff:ff:ff")
        return peer.receive(DHCP)

    address = dhcp("discover")[BOOTP].yiaddr
    assert address == "10.0.2.15"
    ack = dhcp("request", ("requested_addr", address), ("server_id", "10.0.2.2"))
    assert ("message-type", 5) in ack[DHCP].options and ("lease_time", 86400) in ack[DHCP].options


@pytest.mark.core
def test_dns(peer):
    peer.send(IP(src=ME, dst="10.0.2.3") / UDP(sport=4000, dport=53) / DNS(id=9, qd=DNSQR(qname="wan.lab.test")))
    assert peer.receive(DNS)[DNS].an.rdata == WAN4


@pytest.mark.core
def test_tcp(lab, peer):
    """A connection by hand: sums are complete, and no frame is above the MTU."""
    file = lab.tmp / "bess-file"
    digest = content.write(file, 100_000)
    file.chmod(0o644)

    def segment(flags, sequence, acknowledged, data=b""):
        peer.send(IP(src=ME, dst=WAN4) / TCP(sport=40000, dport=80, flags=flags, seq=sequence, ack=acknowledged,
                                             window=64000, options=[("MSS", 1460)] if "S" in flags else []) / data)

    segment("S", 100, 0)
    opened = peer.receive(TCP)
    assert str(opened[TCP].flags) == "SA" and opened[TCP].ack == 101
    theirs = opened[TCP].seq + 1
    segment("A", 101, theirs)
    request = b"GET /file/bess-file HTTP/1.1\r\nHost: wan\r\nConnection: close\r\n\r\n"
    segment("PA", 101, theirs, request)
    received, ended = b"", False
    while not ended:
        frame = peer.receive(TCP)
        assert len(frame) <= 1514
        ip, tcp = frame[IP].chksum, frame[TCP].chksum
        again = Ether(bytes(frame))
        del again[IP].chksum, again[TCP].chksum
        again = Ether(bytes(again))
        assert (ip, tcp) == (again[IP].chksum, again[TCP].chksum)
        data = bytes(frame[TCP].payload)[:frame[IP].len - 20 - 4 * frame[TCP].dataofs]
        if frame[TCP].seq == theirs:
            received += data
            theirs += len(data)
            if "F" in frame[TCP].flags:
                theirs, ended = theirs + 1, True
        segment("A", 101 + len(request), theirs)
    assert hashlib.sha256(received.partition(b"\r\n\r\n")[2]).hexdigest() == digest
    segment("FA", 101 + len(request), theirs)


@pytest.mark.core
def test_ipv6(path, start):
    start("-6")
    with contextlib.closing(Peer(path)) as peer:
        peer.send(IPv6(src="fe80::7", dst="ff02::2", hlim=255) / ICMPv6ND_RS(), "33:33:00:00:00:02")
        assert peer.receive(ICMPv6ND_RA).src == "52:56:00:00:00:02"
        peer.send(IPv6(src="fd00::7", dst=WAN6) / ICMPv6EchoRequest(id=7, data=b"payload"), "52:56:00:00:00:02")
        reply = peer.receive(ICMPv6EchoReply)
        assert (reply[IPv6].src, reply[ICMPv6EchoReply].data, reply.dst) == (WAN6, b"payload", MAC)


@pytest.mark.core
def test_odd_packets(peer):
    """Without a byte, short, and large: none of them ends anything."""
    for packet in (b"", b"x", b"\xff" * 13, b"\xff" * 60, b"\xff" * 60000):
        peer.socket.send(packet)
    peer.send(IP(src=ME, dst="10.0.2.2") / ICMP(id=7, seq=1))
    assert peer.receive(ICMP)[ICMP].type == 0


@pytest.mark.core
def test_one_peer_and_its_end(nothing_left, path, start):
    """A second one is refused; the end of the first one is the program's, and the file goes with it."""
    process = start()
    assert path.is_socket() and path.stat().st_mode & 0o777 == 0o600
    peer = Peer(path)
    peer.send(IP(src=ME, dst="10.0.2.2") / ICMP(id=7, seq=1))
    peer.receive(ICMP)
    with pytest.raises(ConnectionRefusedError):
        Peer(path)
    assert process.poll() is None
    peer.close()
    assert process.wait(5) == 0
    assert not path.exists()


@pytest.mark.core
def test_a_signal_removes_the_file(path, start):
    process = start()
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    assert not path.exists()


def test_an_old_file(lab, path, start):
    """A socket that is left from before is replaced; any other file stays, and is an error."""
    left = f"import socket; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).bind({str(path)!r})"
    lab.user_run(["/usr/bin/python3", "-c", left], check=True)
    process = start()
    Peer(path).close()
    assert process.wait(5) == 0
    path.write_text("mine")
    done = lab.user_run([lab.slirp4netns, "--target-type=bess", str(path)])
    assert done.returncode == 1 and len(said(done)) == 1 and str(path) in done.stderr
    assert path.read_text() == "mine"
    path.unlink()


def test_a_path_that_is_too_long(lab):
    done = lab.user_run([lab.slirp4netns, "--target-type=bess", "/tmp/" + "x" * 120])
    assert done.returncode == 1 and len(said(done)) == 1 and "107 bytes" in done.stderr


# A TAP without a vnet header on one side, the socket on the other: a whole kernel behind the frames.
BRIDGE = """
import fcntl, os, select, socket, struct, sys
tap = os.open('/dev/net/tun', os.O_RDWR)
fcntl.ioctl(tap, 0x400454ca, struct.pack('16sH22x', b'tap0', 0x1002))
peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
peer.connect(sys.argv[1])
print('up', flush=True)
while True:
    readable, _, _ = select.select([tap, peer], [], [])
    if tap in readable:
        peer.send(os.read(tap, 65536))
    if peer in readable:
        os.write(tap, peer.recv(65536))
"""


@pytest.mark.core
@pytest.mark.parametrize("mtu", [1500, 9000])
def test_bulk_with_a_kernel_behind_it(lab, path, start, mtu):
    process = start(f"--mtu={mtu}")
    container = Container(lab)
    bridge = container.popen(["/usr/bin/python3", "-c", BRIDGE, str(path)], stdout=subprocess.PIPE)
    assert bridge.stdout.readline() == "up\n"
    container.run(f"ip addr add {ME}/24 dev tap0; ip link set tap0 up mtu {mtu}; ip route add default via 10.0.2.2")
    size = 20 << 20
    file = lab.tmp / "bess-bulk"
    digest = content.write(file, size)
    file.chmod(0o644)
    out = container.out(f"curl -sS --max-time 60 http://{WAN4}/file/{file.name} | sha256sum", 70)
    assert out.split()[0] == digest
    assert container.out(f"nc -N {WAN4} 5003 < {file}", 70).split() == [digest, str(size)]
    file.unlink()
    counters = container.out("nstat -asz TcpInCsumErrors TcpRetransSegs")
    print(counters)
    assert "TcpInCsumErrors                 0" in counters
    container.kill()
    lab.stop(bridge, signal.SIGKILL)
    assert process.wait(5) == 0
