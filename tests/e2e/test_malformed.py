"""A hostile guest: frames that no kernel would send. The program lives on, says little, and still forwards."""

import pytest

from lab.network import WAN4, WAN6

pytestmark = pytest.mark.core

COMMON = """
import random, socket
from scapy.all import *
conf.verb = 0
random.seed({seed})
mac, gateway = get_if_hwaddr('tap0'), '52:55:0a:00:02:02'
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind(('tap0', 0))
def send(frame):
    try:
        raw.send(bytes(frame)[:1514])
    except OSError:
        pass  # too short even for a socket
e = Ether(src=mac, dst=gateway)
v4, v6 = IP(src='10.0.2.100', dst={wan4!r}), IPv6(src='fd00::100', dst={wan6!r})
samples = [
    e / v4 / TCP(sport=40001, dport=7, flags='S', options=[('MSS', 1460), ('SAckOK', b''), ('WScale', 7), ('Timestamp', (1, 0))]),
    e / v6 / TCP(sport=40002, dport=7, flags='S', options=[('MSS', 1440)]),
    e / v4 / TCP(sport=40003, dport=7, flags='A', seq=5, ack=9) / (b'x' * 100),
    e / v4 / UDP(sport=40004, dport=7) / (b'y' * 200),
    e / v6 / UDP(sport=40005, dport=7) / (b'y' * 200),
    e / v4 / ICMP() / (b'p' * 50),
    e / v6 / ICMPv6EchoRequest(data=b'q' * 50),
    e / IP(src='10.0.2.100', dst='10.0.2.3') / UDP(sport=40006, dport=53) / DNS(rd=1, qd=DNSQR(qname='wan.lab.test')),
    Ether(src=mac, dst='ff:ff:ff:ff:ff:ff') / ARP(psrc='10.0.2.100', pdst='10.0.2.2', hwsrc=mac),
    Ether(src=mac, dst='ff:ff:ff:ff:ff:ff') / IP(src='0.0.0.0', dst='255.255.255.255') / UDP(sport=68, dport=67)
        / BOOTP(chaddr=bytes.fromhex(mac.replace(':', ''))) / DHCP(options=[('message-type', 'discover'), 'end']),
    Ether(src=mac, dst='33:33:00:00:00:02') / IPv6(src='fe80::1', dst='ff02::2', hlim=255) / ICMPv6ND_RS(),
    Ether(src=mac, dst='33:33:ff:00:00:02') / IPv6(src='fe80::1', dst='ff02::1:ff00:2', hlim=255)
        / ICMPv6ND_NS(tgt='fd00::2') / ICMPv6NDOptSrcLLAddr(lladdr=mac),
    Ether(src=mac, dst='33:33:00:01:00:02') / IPv6(src='fe80::1', dst='ff02::1:2') / UDP(sport=546, dport=547)
        / DHCP6_InfoRequest() / DHCP6OptOptReq(),
    e / v4 / ICMP(type=3, code=4) / IP(src={wan4!r}, dst='10.0.2.100') / UDP(),
    e / IPv6(src='fd00::100', dst={wan6!r}) / IPv6ExtHdrHopByHop() / IPv6ExtHdrFragment(offset=0, m=1) / (b'f' * 64),
]
"""


def check(guest):
    assert guest.process.poll() is None, guest.messages()[-4000:]
    assert guest.out(f"curl -sS --max-time 5 http://{WAN4}/") == "hello from the lab\n"
    assert guest.out(f"curl -sS --max-time 5 'http://[{WAN6}]/'") == "hello from the lab\n"
    assert len(guest.messages().splitlines()) < 20, "no log line per packet"


def attack(guest, body, seed=1):
    guest.python(COMMON.format(seed=seed, wan4=WAN4, wan6=WAN6) + body, timeout=90)
    check(guest)


def test_truncated_at_every_length(guest):
    attack(guest, """
for sample in samples:
    whole = bytes(sample)
    for length in range(14, len(whole)):
        send(whole[:length])
""")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_mutated(guest, seed):
    attack(guest, """
pool = [bytes(sample) for sample in samples]
for _ in range(20000):
    frame = bytearray(random.choice(pool))
    for _ in range(random.randint(1, 6)):
        frame[random.randrange(12, len(frame))] = random.choice([0, 1, 127, 128, 255, random.randrange(256)])
    send(frame)
""", seed)


def test_random_bytes(guest):
    attack(guest, """
for _ in range(20000):
    kind = random.choice([b'\\x08\\x00', b'\\x86\\xdd', b'\\x08\\x06', random.randbytes(2)])
    send(bytes.fromhex((gateway + mac).replace(':', '')) + kind + random.randbytes(random.randrange(0, 200)))
""")


def test_fragments(guest, sanitized):
    """Overlaps, holes, too long, never finished, thousands of first ones: memory stays bounded."""
    def private():
        with open(f"/proc/{guest.forwarder}/smaps_rollup", encoding="ascii") as rollup:
            return sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))

    before = private()
    attack(guest, """
for number in range(20000):
    send(e / IP(src='10.0.2.100', dst='198.51.100.2', id=number & 0xffff, flags='MF', frag=number % 3, proto=17) / (b'z' * 1400)
         if number % 200 == 0 else bytes.fromhex((gateway + mac).replace(':', '')) + bytes.fromhex('0800')
         + bytes(IP(src='10.0.2.100', dst='198.51.100.2', id=number & 0xffff, flags='MF', frag=random.randrange(8190), proto=17,
                    len=1420, chksum=0)) + b'z' * 1400) if number < 600 else None
base = bytearray(bytes(IP(src='10.0.2.100', dst='198.51.100.2', flags='MF', proto=17) / (b'z' * 1400)))
for number in range(20000):
    base[4:6] = number.to_bytes(2, 'big')
    base[6] = 0x20 | (number >> 3 & 0x1f)
    base[10:12] = bytes(2)
    total = sum(int.from_bytes(base[i:i + 2], 'big') for i in range(0, 20, 2))
    total = (total & 0xffff) + (total >> 16)
    base[10:12] = (0xffff - ((total & 0xffff) + (total >> 16))).to_bytes(2, 'big')
    send(bytes.fromhex((gateway + mac).replace(':', '')) + b'\\x08\\x00' + base)
""")
    if not sanitized:  # whose freed memory stays in quarantine
        assert private() - before < 16 * 1024


def test_flood_of_connections(guest):
    """Forty thousand SYNs for a port that never answers, from as many ports: bounded, and others still get through."""
    attack(guest, """
syn = bytearray(bytes(e / IP(src='10.0.2.100', dst='203.0.113.130') / TCP(sport=1, dport=80, flags='S')))
def checksum(data):
    total = sum(int.from_bytes(data[i:i + 2], 'big') for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return 0xffff - total
pseudo = bytes(syn[26:34]) + bytes([0, 6, 0, 20])
for port in range(1024, 41024):
    syn[34:36] = port.to_bytes(2, 'big')
    syn[50:52] = bytes(2)
    syn[50:52] = checksum(pseudo + bytes(syn[34:54])).to_bytes(2, 'big')
    send(syn)
""")


def test_forged_sources(guest):
    """Addresses that are not the guest's: multicast, broadcast, ours, the gateway's, mapped."""
    attack(guest, """
for source in ('10.0.2.2', '10.0.2.3', '0.0.0.0', '255.255.255.255', '224.0.0.1', '127.0.0.1', '10.0.2.255', '203.0.113.2'):
    for payload in (UDP(sport=1, dport=7) / b'x', TCP(sport=1, dport=7, flags='S'), ICMP() / b'x'):
        send(e / IP(src=source, dst='198.51.100.2') / payload)
        send(e / IP(src='10.0.2.100', dst=source) / payload)
for source in ('fd00::2', '::', '::1', 'ff02::1', '::ffff:1.2.3.4', 'fe80::2', '2001:db8:2::2'):
    for payload in (UDP(sport=1, dport=7) / b'x', TCP(sport=1, dport=7, flags='S'), ICMPv6EchoRequest()):
        send(e / IPv6(src=source, dst='2001:db8:1::2') / payload)
        send(e / IPv6(src='fd00::100', dst=source) / payload)
""")


def test_a_rogue_router(lab, guest):
    """Gratuitous ARP and neighbour advertisements for the gateway, router advertisements, redirects, DHCP offers, frames from
    and to our own addresses: nobody believes them. The host's routes and neighbours are as before."""
    def tables():
        commands = (["ip", "route"], ["ip", "-6", "route"], ["ip", "neigh", "show", "nud", "permanent"], ["ip", "addr"])
        return [lab.host.run(command, capture_output=True).stdout for command in commands]

    before = tables()
    attack(guest, """
all6 = '33:33:00:00:00:01'
for own in (mac, gateway, '02:00:00:00:00:66'):
    for target in ('10.0.2.2', '10.0.2.3', '10.0.2.100', '198.51.100.2'):
        for op in (1, 2):
            send(Ether(src=own, dst='ff:ff:ff:ff:ff:ff') / ARP(op=op, psrc=target, pdst=target, hwsrc=own))
            send(Ether(src=own, dst=gateway) / ARP(op=op, psrc=target, pdst='10.0.2.100', hwsrc=own, hwdst=gateway))
    for source in ('fe80::66', 'fe80::2', 'fd00::2'):
        send(Ether(src=own, dst=all6) / IPv6(src=source, dst='ff02::1', hlim=255) / ICMPv6ND_RA(routerlifetime=9000)
             / ICMPv6NDOptPrefixInfo(prefix='2001:db8:bad::', prefixlen=64) / ICMPv6NDOptMTU(mtu=1280)
             / ICMPv6NDOptRDNSS(dns=['2001:db8:bad::53'], lifetime=9000) / ICMPv6NDOptSrcLLAddr(lladdr=own))
        for target in ('fd00::2', 'fd00::3', 'fe80::2', 'fd00::100'):
            send(Ether(src=own, dst=all6) / IPv6(src=source, dst='ff02::1', hlim=255) / ICMPv6ND_NA(tgt=target, R=1, O=1)
                 / ICMPv6NDOptDstLLAddr(lladdr=own))
        send(Ether(src=own, dst=gateway) / IPv6(src=source, dst='fd00::2', hlim=255)
             / ICMPv6ND_Redirect(tgt='fe80::66', dst='2001:db8:1::2'))
    send(Ether(src=own, dst=gateway) / IP(src='10.0.2.66', dst='10.0.2.2') / ICMP(type=5, code=1, gw='10.0.2.66')
         / IP(src='10.0.2.2', dst='198.51.100.2') / UDP())
    send(Ether(src=own, dst='ff:ff:ff:ff:ff:ff') / IP(src='10.0.2.66', dst='255.255.255.255') / UDP(sport=67, dport=68)
         / BOOTP(op=2, yiaddr='10.0.2.2', chaddr=bytes(6)) / DHCP(options=[('message-type', 'offer'), ('server_id', '10.0.2.66'), 'end']))
    for whom4, whom6 in (('10.0.2.2', 'fd00::2'), ('10.0.2.3', 'fd00::3')):
        for payload in (UDP(sport=1, dport=53) / b'x', UDP(sport=53, dport=9) / b'x', TCP(sport=1, dport=80, flags='S')):
            send(Ether(src=own, dst=gateway) / IP(src=whom4, dst=whom4) / payload)
            send(Ether(src=own, dst=gateway) / IPv6(src=whom6, dst=whom6) / payload)
            send(Ether(src=own, dst=gateway) / IP(src='10.0.2.100', dst=whom4) / payload)
            send(Ether(src=own, dst=gateway) / IPv6(src='fd00::100', dst=whom6) / payload)
""")
    assert guest.out("dig +short +time=3 wan.lab.test") == f"{WAN4}\n"
    assert tables() == before


def test_no_answer_to_a_forged_source(lab, guest):
    """What is said to come from elsewhere is dropped: nothing of it arrives."""
    code = "import socket\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\ns.bind(('',9123))\nprint('up',flush=True)\n"
    code += "while True: print(s.recv(100),flush=True)"
    sink = lab.popen(lab.wan.command(["/usr/bin/python3", "-c", code]), stdout=-1)
    assert sink.stdout.readline() == "up\n"
    attack(guest, """
for source in ('203.0.113.2', '10.0.2.2', '127.0.0.1', '198.51.100.1', '198.51.100.2', '10.0.3.100', '224.0.0.1'):
    send(e / IP(src=source, dst='198.51.100.2') / UDP(sport=9, dport=9123) / b'forged')
send(e / IP(src='10.0.2.100', dst='198.51.100.2') / UDP(sport=9, dport=9123) / b'honest')
""")
    assert sink.stdout.readline() == "b'honest'\n"
    lab.stop(sink)
