#!/usr/bin/python3
"""Writes the first inputs of each fuzz target to fuzz/corpus/NAME: real formats made by Scapy, and operations for the
engine that open connections, send data and end them. `fuzz/run.py --keep` minimises what comes of them.
"""

import pathlib
import struct

from scapy.all import (ARP, BOOTP, DHCP, DNS, DNSQR, DNSRR, ICMP, IP, TCP, UDP, DHCP6OptClientId, DHCP6OptDNSServers,
                       DHCP6OptIA_NA, DHCP6OptOptReq, DHCP6_InfoRequest, DHCP6_Solicit, DUID_LL, Ether, ICMPv6EchoRequest,
                       ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_RS, ICMPv6NDOptDNSSL, ICMPv6NDOptDstLLAddr,
                       ICMPv6NDOptMTU, ICMPv6NDOptPrefixInfo, ICMPv6NDOptRDNSS, ICMPv6NDOptSrcLLAddr, IPv6,
                       IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, Raw, fragment)

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"
MAC = "02:00:00:00:00:01"
GATEWAY = "52:55:0a:00:02:02"


def write(target, name, data):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(bytes(data))


def dhcp(kind, *options):
    return BOOTP(chaddr=bytes.fromhex("020000000001"), xid=7) / DHCP(options=[("message-type", kind), *options, "end"])


def dhcp_messages():
    yield dhcp("discover", ("param_req_list", [1, 3, 6, 15, 119]), ("hostname", b"box"), ("max_dhcp_size", 1500))
    yield dhcp("request", ("requested_addr", "10.0.2.15"), ("server_id", "10.0.2.2"), ("client_id", b"\x01abcdef"))
    yield dhcp("release", ("server_id", "10.0.2.2"))
    yield dhcp("decline", ("requested_addr", "10.0.2.15"))
    yield dhcp("inform")
    yield dhcp("ack", ("subnet_mask", "255.255.255.0"), ("router", "10.0.2.2"), ("name_server", "10.0.2.3"),
               ("lease_time", 86400), ("renewal_time", 43200), ("rebinding_time", 70000), ("domain", b"example.test"),
               ("broadcast_address", "10.0.2.255"), ("interface-mtu", 1500), (119, b"\x03one\x04test\x00\x03two\xc0\x04"))


def dhcpv6_messages():
    duid = DHCP6OptClientId(duid=DUID_LL(lladdr=MAC))
    yield DHCP6_InfoRequest(trid=5) / duid / DHCP6OptOptReq(reqopts=[23, 24])
    yield DHCP6_Solicit(trid=6) / duid / DHCP6OptIA_NA(iaid=1) / DHCP6OptDNSServers(dnsservers=["fd00::3"])


def dns_messages():
    yield DNS(id=1, rd=1, qd=DNSQR(qname="www.example.test", qtype="AAAA"))
    yield DNS(id=1, qr=1, qd=DNSQR(qname="www.example.test"), an=DNSRR(rrname="www.example.test", rdata="192.0.2.1"))


def neighbour_messages():
    source = ICMPv6NDOptSrcLLAddr(lladdr=MAC)
    yield 11, ICMPv6ND_RS() / source
    yield 12, (ICMPv6ND_RA(routerlifetime=1800) / source / ICMPv6NDOptMTU() /
               ICMPv6NDOptPrefixInfo(prefix="fd00::", prefixlen=64) / ICMPv6NDOptRDNSS(dns=["fd00::3"]) /
               ICMPv6NDOptDNSSL(searchlist=["example.test"]))
    yield 13, ICMPv6ND_NS(tgt="fd00::2") / source
    yield 14, ICMPv6ND_NA(tgt="fd00::2") / ICMPv6NDOptDstLLAddr(lladdr=MAC)


def packets():
    four = IP(src="10.0.2.100", dst="198.51.100.7")
    six = IPv6(src="fd00::100", dst="2001:db8::7")
    options = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 2)), ("NOP", None), ("WScale", 7)]
    for ip in (four, six):
        yield ip / TCP(sport=40000, dport=80, flags="S", options=options)
        yield ip / TCP(sport=40000, dport=80, flags="A", options=[("SAck", (1, 9, 20, 30))]) / Raw(b"data")
        yield ip / UDP(sport=40000, dport=53) / DNS(rd=1, qd=DNSQR(qname="a.test"))
    yield four / ICMP(id=7) / Raw(b"ping")
    yield four / ICMP(type=3, code=4, nexthopmtu=1280) / four / UDP(sport=1, dport=2) / Raw(b"12345678")
    yield six / ICMPv6EchoRequest(id=7, data=b"ping")
    yield six / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / UDP(sport=1, dport=2) / Raw(b"x")
    yield six / IPv6ExtHdrRouting(addresses=["2001:db8::9"]) / UDP(sport=1, dport=2)
    yield six / IPv6ExtHdrFragment(id=3, m=1) / UDP(sport=1, dport=2) / Raw(b"12345678")
    yield from fragment(four / UDP(sport=40000, dport=7) / Raw(b"f" * 60), fragsize=32)


def wire():
    for i, packet in enumerate(packets()):
        write("wire", f"ip-{i}", b"\x02" + bytes(packet))
        write("wire", f"quoted-{i}", b"\x03" + bytes(packet)[:60])
        for layer, number in ((TCP, 4), (UDP, 5), (ICMP, 6), (ICMPv6EchoRequest, 6)):
            if layer in packet:
                write("wire", f"transport-{number}-{i}", bytes([number]) + bytes(packet[layer]))
        if TCP in packet or UDP in packet:
            frame = bytes(Ether(src=MAC, dst=GATEWAY) / packet)
            gso = (1 if IP in packet else 2) if TCP in packet else 3
            start = 34 if IP in packet else 54
            fields = struct.pack(">BHHBHBBBH", 1, start, 16 if TCP in packet else 6, gso, 100, 40, 60, 80, 700)
            write("wire", f"segments-{i}", b"\x10" + fields + frame)
    write("wire", "ethernet", b"\x00" + bytes(Ether(src=MAC, dst=GATEWAY, type=0x800)))
    write("wire", "arp", b"\x01" + bytes(ARP(op=1, psrc="10.0.2.100", pdst="10.0.2.2")))
    for i, message in enumerate(dhcp_messages()):
        write("wire", f"dhcp-{i}", b"\x07" + bytes(message))
    for i, message in enumerate(dhcpv6_messages()):
        write("wire", f"dhcpv6-{i}", b"\x08" + bytes(message))
    for i, message in enumerate(dns_messages()):
        write("wire", f"dns-{i}", b"\x09" + bytes(message))
    write("wire", "name", b"\x0a\x03www\x07example\x04test\x00\x03ftp\xc0\x04")
    write("wire", "name-text", b"\x0awww.exa\\.mple.\\012x.test")
    for number, message in neighbour_messages():
        write("wire", f"neighbour-{number}", bytes([number]) + bytes(message))


def services():
    def sized(op, data, *before):
        return bytes([op, *before]) + struct.pack(">H", len(data)) + data

    lease = b"".join(sized(2, bytes(message)) for message in dhcp_messages())
    write("services", "dhcp", b"\x02" + lease)
    write("services", "dhcpv6", b"\x02" + b"".join(sized(3, bytes(message)) for message in dhcpv6_messages()))
    write("services", "arp", b"\x00" + sized(0, bytes(ARP(op=1, psrc="10.0.2.100", pdst="10.0.2.2"))))
    for number, message in neighbour_messages():
        write("services", f"neighbour-{number}", b"\x00\x01\x01" + struct.pack(">H", len(message)) + bytes(message) + bytes(3))
    question = bytes(next(dns_messages()))
    asked = sized(4, question, 1)
    write("services", "dns-answered", b"\x00" + asked + b"\x06\x00\x00\x00\x00")
    write("services", "dns-servfail", b"\x00" + asked + b"\x06\x00\x20\x00\x00" + b"\x08\xff")
    write("services", "dns-silent", b"\x00" + asked + sized(4, question, 1) + b"\x08\xff\x08\xff")
    write("services", "dns-error", b"\x00" + asked + b"\x06\x00\x68\x00\x00")


# --- operations of engine_driver.cc
def segment(flags, how=0, selector=0, more=b"", window=0xffff):
    return bytes([1, selector, how, flags]) + struct.pack(">H", window) + more


def with_data(text, flags=0x18, selector=0):
    return segment(flags, 8, selector, bytes([len(text)]) + text)


def stream(which, what, amount=0):
    return bytes([13, which, what]) + struct.pack(">H", amount)


OPEN = segment(2) + stream(0, 0x80) + segment(0x10)
CLOSE = segment(0x11) + stream(0, 0x8c) + segment(0x10)


def engine():
    for features in (0, 1, 3, 15, 0x40, 0x4f):
        head = bytes([features])
        name = f"{features:02x}"
        write("engine", f"tcp-{name}", head + OPEN + with_data(b"GET / HTTP/1.0\r\n\r\n") + stream(0, 1, 5000) + segment(0x10) + CLOSE)
        write("engine", f"tcp-bulk-{name}", head + OPEN + stream(0, 2, 3000) + (segment(0x10) + bytes([0x5b])) * 4 + CLOSE)
        write("engine", f"tcp-blocked-{name}",
              head + OPEN + stream(0, 0x40, 10) + with_data(b"x" * 100) + with_data(b"y" * 100) + stream(0, 0x40, 5000) + CLOSE)
        options = bytes([0x7f]) + struct.pack(">HII", 1460, 100, 0)
        write("engine", f"tcp-options-{name}", head + segment(2, 4, 8, options) + stream(0, 0x80) + segment(0x10, 0, 8) +
              with_data(b"six", 0x18, 8) + segment(4, 0, 8))
        write("engine", f"tcp-refused-{name}", head + segment(2) + stream(0, 203))
        write("engine", f"udp-{name}", head + bytes([5, 0, 0, 4]) + b"ping" + bytes([16, 0, 2, 0]) + bytes([16, 0, 0, 5]) + b"hello")
        write("engine", f"udp-error-{name}", head + bytes([5, 8, 0, 4]) + b"ping" + bytes([18, 0, 0x41, 5, 0]))
        write("engine", f"udp-large-{name}", head + bytes([5, 0, 2, 0xc8, 9]) + bytes([16, 0, 2, 0]))
        write("engine", f"ping-{name}", head + bytes([7, 0, 0, 4]) + b"echo" + bytes([16, 0, 2, 0]) + bytes([0x1a]))
        write("engine", f"fragments-{name}", head + bytes([8, 0, 0x30, 0, 8]) + b"\x9c\x40\0\7\0\x10\0\0" + bytes([8, 0, 0x10, 1, 8]) + b"abcdefgh")
        write("engine", f"fragment-late-{name}", head + bytes([8, 8, 0x30, 0, 8]) + b"\x9c\x40\0\7\0\x10\0\0" + bytes([0xbb]))
        write("engine", f"published-{name}", head + bytes([22, 0, 80, 79]) + bytes([20, 0, 0, 0x30, 0x39]) +
              segment(0x12, 0x40) + stream(0, 1, 500) + segment(0x10, 0x40) + CLOSE)
        write("engine", f"published-udp-{name}", head + bytes([22, 1, 80, 79]) + bytes([16, 0, 1, 0x30, 0x39, 3]) + b"abc" + bytes([23, 0]))
        query = bytes(next(dns_messages()))[12:]
        write("engine", f"dns-{name}", head + bytes([11, 1, len(query)]) + query + bytes([16, 0, 2, 0]) + bytes([0x9b]))
        write("engine", f"services-{name}", head + bytes([10, 5, 0, 10, 0, 4, 0, 0, 0, 0, 12, 2, 9, 12, 0x26, 9, 15, 12, 23, 0]))
        write("engine", f"starved-{name}", head + bytes([24, 9, 3]) + OPEN + bytes([5, 0, 0, 1, 65, 24, 0xc0, 3]) + OPEN)
    for i, packet in enumerate(packets()):
        frame = bytes(Ether(src=MAC, dst=GATEWAY) / packet)
        write("engine", f"raw-{i}", bytes([0, 0, 1, len(frame)]) + frame)


def simulation():
    for seed in range(60):
        write("simulation", f"seed-{seed}", struct.pack(">IB", seed, 0))
    write("simulation", "choices", struct.pack(">IB", 7, 40) + bytes(range(80)) + bytes(range(200)))


def control():
    lines = [
        b'{"execute":"add_hostfwd","arguments":{"proto":"tcp","host_addr":"","host_port":8080,"guest_port":80}}',
        b'{"execute":"add_hostfwd","arguments":{"proto":"udp6","host_addr":"::1","host_port":53,"guest_addr":"fd00::100","guest_port":53}}',
        b'{"execute":"list_hostfwd"}', b'{"execute":"remove_hostfwd","arguments":{"id":1}}', b'{"execute":"info"}',
        b'{"execute":"publish","arguments":{"port":"tcp/127.0.0.1:8080-8082:80-82","loopback":true}}',
        b'{"execute":"unpublish","arguments":{"port":"8080:80"}}', b'{"execute":"unpublish","arguments":{"id":2}}',
        b'{"execute":"list_published"}', b'{"execute":"list_flows","arguments":{"limit":2}}', b'{"execute":"statistics"}',
        b'{"execute":"version"}', b'[1,{"a":[null,true,-1.5e3,"\\u00e9\\n"]}]'
    ]
    write("control", "all", b"\x00" + b"\n".join(lines))
    for i, line in enumerate(lines):
        write("control", f"request-{i}", b"\x00" + line)
        write("control", f"end-{i}", b"\x01" + line + b" more")
    port = b'{"id":1,"port":"tcp/8080:80","proto":"tcp","host_addr":"","host_port":8080,"guest_addr":"","guest_port":80,"accepted":2,"loopback":false}'
    flow = (b'{"protocol":"tcp","inbound":false,"guest_addr":"10.0.2.100","guest_port":40000,"remote_addr":"192.0.2.1","remote_port":443,'
            b'"state":"ESTABLISHED","bytes_from_guest":10,"bytes_to_guest":20,"rtt_us":90,"remote_rtt_us":10000}')
    statistics = b'{"flows":1,"bytes_from_guest":1,"bytes_to_guest":2,"frames_from_guest":3,"frames_dropped":0,"tcp_opened":1}'
    write("control", "ports", b'\x02{"return":{"ports":[' + port + b"]}}")
    write("control", "flows", b'\x02{"return":{"uptime_us":5,"total":2,"flows":[' + flow + b"]}}")
    write("control", "info", b'\x02{"return":{"target":"a\\u001b[2J","version":"1","uptime_s":5000,"guest4":"10.0.2.100","prefix4":"10.0.2.0/24",'
          b'"guest6":"fd00::100","mtu":1500,"statistics":' + statistics + b',"ports":[' + port + b"]}}")
    write("control", "error", b'\x02{"error":{"desc":"bad request","reason":"port 80 is taken"}}')


def text():
    for i, one in enumerate([b"8080:80", b"udp/127.0.0.1:53", b"[::1]:8000-8009:80-89", b"0:80", b"tcp/10.0.0.1:1-1024"]):
        write("text", f"publish-{i}", b"\x00" + one)
    for i, one in enumerate([b"10.0.2.0/24", b"fd00::/64", b"52:55:0a:00:02:02", b"tap0", b"1500", b"::ffff:1.2.3.4", b"fe80::1",
                             b"192.168.0.0/30"]):
        write("text", f"value-{i}", b"\x01" + one)
        write("text", f"address-{i}", b"\x02" + one)
    write("text", "resolv", b"\x03# c\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\nnameserver ::1\nsearch a.test b.test\noptions edns0\n")
    write("text", "resolv-domain", b"\x03domain one.test\nnameserver 192.0.2.1")
    words = [b"--configure", b"--mtu=65520", b"--disable-host-loopback", b"-a", b"/tmp/s", b"--cidr", b"10.1.0.0/24", b"-cr3",
             b"--netns-type=path", b"--userns-path=/p", b"--outbound-addr=192.0.2.1", b"--enable-ipv6", b"/proc/1/ns/net", b"tap0"]
    write("text", "slirp4netns", b"\x04" + b"\n".join(words))
    write("text", "slirp4netns-pid", b"\x04-c\n--mtu=1500\n123\ntap0")
    write("text", "options-run", b"\x05run\n--mtu\n1400\n--publish\n8080:80\n--dns-server=192.0.2.53\n--\nsh\n-c\ntrue")
    write("text", "options-attach", b"\x05attach\n--configure\n--cidr=10.9.0.0/25\n--no-ipv6\n--mac=02:00:00:00:00:05\n42")
    for i, line in enumerate([b"ls\n--json", b"port\nadd\n--loopback\n12\n8080:80", b"port\nrm\n12\n3", b"flows\n--interval\n2\n--limit\n5"]):
        write("text", f"commands-{i}", b"\x06" + line)


def tls_hello(name, record=16384, key_share=b"\x00\x33\x00\x02\x00\x00"):
    entry = b"\x00" + struct.pack(">H", len(name)) + name
    extensions = struct.pack(">HHH", 0, len(entry) + 2, len(entry)) + entry + key_share
    body = b"\x03\x03" + bytes(32) + b"\x00\x00\x02\x13\x01\x01\x00" + struct.pack(">H", len(extensions)) + extensions
    message = b"\x01" + struct.pack(">I", len(body))[1:] + body
    parts = [message[at:at + record] for at in range(0, len(message), record)]
    return b"".join(b"\x16\x03\x01" + struct.pack(">H", len(part)) + part for part in parts)


def policy():
    for i, one in enumerate([b"github.com:443", b"tcp/*.debian.org:80,443,8000-8010", b"[2001:db8::/32]:22", b"192.0.2.0/24",
                             b"udp/internet", b"icmp/metadata", b"link-local:1-65535", b"a..test", b"*.a.test."]):
        write("policy", f"rule-{i}", b"\x00" + one)
    write("policy", "file", b'\x01default = "deny"\nrules = [\n "deny metadata",\n "allow tcp/*.a.test:80,443",\n]\n'
          b'check-sni = true\naudit = false\ndns-refusal = "nxdomain"\nttl-floor = 60\n')
    write("policy", "file-wrong", b'\x01default = "perhaps"\nrules = ["allow x:y"]\nmore = [1, {a = 2}]\n')
    cuts = bytes([3, 5, 60, 1])
    for i, name in enumerate([b"a.test", b"x.b.test", b"other.test", b"192.0.2.7", b""]):
        write("policy", f"hello-{i}", b"\x02" + cuts + tls_hello(name, 16384 if i else 9))
        write("policy", f"host-{i}", b"\x03" + cuts + b"GET / HTTP/1.1\r\nA: b\r\nHost: " + name + b"\r\n\r\n")
    write("policy", "absolute", b"\x03" + cuts + b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n")
    retry = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
    answer = b"\x16\x03\x03\x00\x2a\x02\x00\x00\x26\x03\x03" + retry + bytes(4)
    for i, name in enumerate([b"a.test", b"other.test"]):
        more = b"\x14\x03\x03\x00\x01\x01" + tls_hello(name)
        write("policy", f"again-{i}", b"\x04" + cuts + bytes([len(answer)]) + answer + more)
    write("policy", "once", b"\x04" + cuts + bytes([len(answer)]) + answer.replace(retry, bytes(32)) + b"\x17\x03\x03\x00\x02ab")
    for i, message in enumerate([*dns_messages(), DNS(id=1, rd=1, qd=DNSQR(qname="a.test"))]):
        raw = bytes(message)
        write("policy", f"dns-stream-{i}", b"\x05" + cuts + struct.pack(">H", len(raw)) + raw + struct.pack(">H", len(raw)) + raw)
        write("policy", f"answer-{i}", b"\x06" + raw)
    chain = DNSRR(rrname="a.test", type="CNAME", rdata="c.test") / DNSRR(rrname="c.test", rdata="192.0.2.9", ttl=5)
    write("policy", "answer-chain", b"\x06" + bytes(DNS(id=1, qr=1, qd=DNSQR(qname="a.test"), an=chain)))
    hint = bytes.fromhex("000100") + bytes.fromhex("00040004c0000207") + bytes.fromhex("00050004") + b"keys"
    write("policy", "answer-https", b"\x06" + bytes(DNS(id=1, qr=1, qd=DNSQR(qname="a.test", qtype=65),
                                                       an=DNSRR(rrname="a.test", type=65, rdata=hint))))
    # Operations: a piece of the hello at 0 and at 60, version 1 and 2, an answer's ID, raw datagrams, time.
    whole = bytes([1, 8, 1, 0, 0, 0, 255])
    write("policy", "quic-whole", b"\x07\x00" + whole)
    write("policy", "quic-pieces", b"\x07\x10" + bytes([0x11, 8, 1, 0, 1, 40, 255]) + bytes([0x11, 8, 1, 0, 0, 0, 40]))
    write("policy", "quic-again", b"\x07\x00" + bytes([1, 4, 1, 0, 0, 0, 255]) + bytes([0x23, 8, 9, 1, 0, 1, 0, 1, 1]) +
          bytes([0x62, 8, 9, 1, 0, 2, 0, 3]) + b"abc" + bytes([70]))
    write("policy", "quic-raw", b"\x07\x00" + bytes([0, 20]) + b"\xc0\x00\x00\x00\x01\x02ab\x00\x00\x08" + bytes(9))


for make in (wire, services, engine, simulation, control, text, policy):
    make()
