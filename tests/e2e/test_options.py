"""Options common to all commands: loopback, outbound address and interface, recording, logs, addresses."""

import json
import subprocess
import time

import pytest

from lab.guest import said, wait_for
from lab.network import HOST4, HOST4_SECOND, HOST6, HOST6_SECOND, SLOW4, SLOW6, WAN4, WAN6

UDP_PEER = """
import socket
s = socket.socket(socket.AF_INET6 if ':' in {address!r} else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(2)
s.connect(({address!r}, {port}))
try:
    s.send(b'?')
    print(s.recv(100).decode().split()[0])
except OSError as e:
    print(type(e).__name__)
"""
TCP_PEER = """
import socket
try:
    print(socket.create_connection(({address!r}, {port}), 3).makefile().read().split()[0])
except OSError as e:
    print(type(e).__name__)
"""


def peer(guest, protocol, address, port=5005):
    return guest.python((TCP_PEER if protocol == "tcp" else UDP_PEER).format(address=address, port=port)).strip()


@pytest.mark.core
@pytest.mark.parametrize("gateway,loopback", [("10.0.2.2", "127.0.0.1"), ("fd00::2", "::1")], ids=["v4", "v6"])
def test_host_loopback(make_guest, guest, gateway, loopback):
    for protocol in ("tcp", "udp"):
        assert "Error" in peer(guest, protocol, gateway, 8099) or "imeout" in peer(guest, protocol, gateway, 8099)
    opened = make_guest("--host-loopback")
    for protocol in ("tcp", "udp"):
        assert peer(opened, protocol, gateway, 8099) == loopback


@pytest.mark.core
def test_host_loopback_is_refused_at_once(guest):
    """Off means "Network is unreachable" (as slirp4netns has it), not a silence of minutes."""
    start = time.monotonic()
    for gateway in ("10.0.2.2", "fd00::2"):
        assert guest.out(["sh", "-c", f"nc -v -w 5 {gateway} 8099 2>&1 || true"]).count("Network is unreachable") == 1
    assert time.monotonic() - start < 3


@pytest.mark.core
def test_loopback_addresses_never_pass(lab, guest):
    """127/8 and ::1 on the wire (martians that a guest can forge) must not reach the host's loopback."""
    out = guest.python("""
from scapy.all import *
conf.verb = 0
mac, me = get_if_hwaddr('tap0'), '10.0.2.100'
for address in ('127.0.0.1', '127.0.0.53', '0.0.0.0'):
    sendp(Ether(src=mac, dst='52:55:0a:00:02:02') / IP(src=me, dst=address) / UDP(sport=40000, dport=8099) / b'?', iface='tap0')
for address in ('::1', '::ffff:127.0.0.1', '::'):
    sendp(Ether(src=mac, dst='52:55:0a:00:02:02') / IPv6(src='fd00::100', dst=address) / UDP(sport=40000, dport=8099) / b'?', iface='tap0')
got = sniff(iface='tap0', timeout=1, lfilter=lambda p: UDP in p and p[UDP].dport == 40000 and p[UDP].sport == 8099)
print(len(got))
""", timeout=40)
    assert out.strip() == "0"


@pytest.mark.core
def test_services_on_the_hosts_loopback_alone(lab, guest):
    """By the host's other addresses they cannot be reached either; what listens on all of its addresses can."""
    for protocol in ("tcp", "udp"):
        for address in (HOST4, HOST6):
            assert "Refused" in peer(guest, protocol, address, 8099) or "imeout" in peer(guest, protocol, address, 8099)
    code = "import socket\ns=socket.create_server(('::',8097),family=socket.AF_INET6,dualstack_ipv6=True)\nprint('up',flush=True)\n"
    code += "while True: s.accept()[0].send(b'open')"
    service = lab.popen(lab.host.command(["/usr/bin/python3", "-c", code]), stdout=-1)
    assert service.stdout.readline() == "up\n"
    for address in (HOST4, HOST6):
        assert guest.out(f"nc -d -w 3 {address} 8097 | head -c 4") == "open"
    lab.stop(service)


@pytest.fixture
def metadata_services(lab):
    """As in a cloud, on the way out."""
    services = [("169.254.169.254/32", "169.254.169.254"), ("fd00:ec2::254/128", "[fd00:ec2::254]")]
    for address, _ in services:
        lab.wan.ip("address", "add", address, "dev", "lo")
    yield [f"http://{host}/" for _, host in services]
    for address, _ in services:
        lab.wan.ip("address", "del", address, "dev", "lo")


@pytest.mark.core
def test_metadata(lab, make_guest, guest, metadata_services):
    """Refused at once, although the user on the host reaches them; with --metadata they are there."""
    for url in metadata_services:
        assert lab.user_run(["curl", "-gsS", "--max-time", "5", url]).stdout == "hello from the lab\n"
        start = time.monotonic()
        assert guest.run(["curl", "-gsS", "--max-time", "5", url], check=False).returncode == 7
        assert time.monotonic() - start < 3
    allowed = make_guest("--metadata")
    for url in metadata_services:
        assert allowed.out(["curl", "-gsS", "--max-time", "5", url]) == "hello from the lab\n"


def test_outbound_address(make_guest, guest):
    chosen = make_guest("--outbound-addr", HOST4_SECOND, "--outbound-addr6", HOST6_SECOND)
    for protocol in ("tcp", "udp"):
        assert peer(guest, protocol, WAN4) == HOST4
        assert peer(guest, protocol, WAN6) == HOST6
        assert peer(chosen, protocol, WAN4) == HOST4_SECOND
        assert peer(chosen, protocol, WAN6) == HOST6_SECOND


ECHO_REQUEST_SOURCE = """
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(('w-host', 0))
s.settimeout(10)
print('listening', flush=True)
while True:
    frame = s.recv(2000)
    if frame[12:14] == b'\\x08\\x00' and frame[23] == 1 and frame[34] == 8:
        print(socket.inet_ntop(socket.AF_INET, frame[26:30]))
        break
    if frame[12:14] == b'\\x86\\xdd' and frame[20] == 58 and frame[54] == 128:
        print(socket.inet_ntop(socket.AF_INET6, frame[22:38]))
        break
"""


@pytest.mark.parametrize("target,source", [(WAN4, HOST4_SECOND), (WAN6, HOST6_SECOND)], ids=["v4", "v6"])
def test_outbound_address_of_ping(lab, make_guest, target, source):
    chosen = make_guest("--outbound-addr", HOST4_SECOND, "--outbound-addr6", HOST6_SECOND)
    capture = lab.popen(lab.wan.command(["/usr/bin/python3", "-c", ECHO_REQUEST_SOURCE]), stdout=subprocess.PIPE)
    assert capture.stdout.readline() == "listening\n"
    chosen.run(f"ping -c 2 -i 0.3 -W 2 {target}")
    assert capture.stdout.readline().strip() == source


def test_outbound_interface(make_guest):
    """Bound to the way to `slow`, that is all there is."""
    guest = make_guest("--outbound-if", "h-slow")
    for protocol in ("tcp", "udp"):
        assert peer(guest, protocol, SLOW4) == "192.0.2.1"
        assert peer(guest, protocol, SLOW6) == "2001:db8:3::1"
        assert "rror" in peer(guest, protocol, WAN4) or "imeout" in peer(guest, protocol, WAN4)
    assert "1 received" in guest.out(f"ping -c 1 -W 3 {SLOW4}")


def test_addresses_and_names(make_guest):
    guest = make_guest("--cidr", "172.20.0.0/29", "--mac", "02:00:00:aa:bb:cc", "--tap-name", "net0", "--mtu", "1400")
    out = guest.out("ip addr show dev net0")
    assert "mtu 1400" in out and "link/ether 02:00:00:aa:bb:cc" in out
    assert "inet 172.20.0.4/29" in out or "inet 172.20.0.5/29" in out
    assert "default via 172.20.0.2 dev net0" in guest.out("ip route")
    assert "nameserver 172.20.0.3" in guest.out("cat /etc/resolv.conf")
    assert guest.out("curl -sS --max-time 5 http://wan.lab.test/") == "hello from the lab\n"


@pytest.mark.core
def test_pcap(lab, make_guest):
    """Both directions are recorded, whole, in a form that Wireshark's own reader takes without a complaint."""
    path = lab.path("trace")
    guest = make_guest("--pcap", str(path))
    guest.run(f"curl -sS -4 http://wan.lab.test/; ping -c 1 -W 2 {WAN6}")
    guest.close()
    assert path.read_bytes()[:4] == bytes.fromhex("0a0d0d0a"), "pcapng's section header"
    fields = ["-T", "fields", "-e", "ip.src", "-e", "ipv6.src", "-e", "_ws.col.Protocol", "-e", "_ws.malformed"]
    done = subprocess.run(["tshark", "-n", "-r", str(path), *fields], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert "cut short" not in done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert not [line for line in lines if line[3]], "tshark finds malformed packets"
    http = {line[0] for line in lines if line[2] == "HTTP"}
    assert http == {"10.0.2.100", WAN4}, lines
    assert WAN6 in {line[1] for line in lines if line[2] == "ICMPv6"}
    assert {line[0] for line in lines if line[2] == "DNS"} >= {"10.0.2.100", "10.0.2.3"}
    text = subprocess.run(["tshark", "-n", "-r", str(path), "-Y", "http.response", "-T", "fields", "-e", "http.file_data"],
                          capture_output=True, text=True, timeout=30, check=True).stdout
    assert "hello from the lab" in text or "68656c6c6f" in text.replace(":", "")


def test_pcap_cannot_be_written(lab, nothing_left):
    done = lab.user_run([lab.binary, "run", "--pcap", "/no/such/folder/file", "--", "true"])
    assert done.returncode == 1
    assert len(said(done)) == 1 and "/no/such/folder/file" in done.stderr


def test_json_logs(lab):
    done = lab.user_run([lab.binary, "run", "--log-format", "json", "--log-level", "debug", "--", "true"])
    entries = [json.loads(line) for line in done.stderr.splitlines()]
    assert entries, "debug has something to say"
    assert all({"time", "level", "message"} <= set(entry) for entry in entries)


def test_errors_in_json(lab):
    done = lab.user_run([lab.binary, "attach", "--log-format", "json", "/no/such/file"])
    assert done.returncode == 1
    assert "/no/such/file" in json.loads(done.stderr)["message"]


def test_quiet_by_default(lab, ranges):
    """A program that works has nothing to say."""
    done = lab.user_run([lab.binary, "run", "--", "curl", "-sS", "http://wan.lab.test/"])
    assert done.stderr == ""


def test_version_and_help(lab):
    assert lab.user_run([lab.binary, "--version"]).stdout.startswith("slirp-forwarder 0.")
    for words in ([], ["run"], ["attach"]):
        done = lab.user_run([lab.binary, *words, "--help"])
        assert done.returncode == 0
        assert "--mtu" in done.stdout and "Usage" in done.stdout


@pytest.mark.core
def test_statistics_of_a_counted_drop(lab):
    """What is dropped is counted by reason; the counters are told at the end of a run with --log-level debug."""
    done = lab.user_run([lab.binary, "run", "--log-level", "debug", "--", "/usr/bin/python3", "-c", """
import socket, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('tap0', 0))
for _ in range(500):  # half of what the TAP's queue holds
    s.send(bytes.fromhex('52550a000202 02000000aaaa 0800 45000014') + bytes(3))
time.sleep(1)  # what is still in the TAP goes with the namespace
"""])
    assert "dropped, truncated: 500" in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) < 50, "no line per packet"
