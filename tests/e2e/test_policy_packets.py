"""Ways around an egress policy with packets that no ordinary client sends, from other addresses, through ports that lead in,
and over time: each with its outcome, as in test_policy_bypass.py."""

import json

import pytest

from lab.guest import wait_for
from lab.named_servers import DENIED4, DENIED6, DNS4, SHARED4, SHARED6
from lab.network import FAR4, HOST4
from loopback import UDP_SERVICE, ask_udp, start
from test_policy import control
from test_policy_bypass import ALLOWED, PASSES, REFUSED, tried

pytestmark = pytest.mark.core


@pytest.fixture(scope="module")
def strict(servers, lab):
    from lab.guest import Guest
    with Guest(lab, "--dns", DNS4, "--allow", f"{ALLOWED}:80", "--deny-all") as guest:
        guest.out(f"getent ahosts {ALLOWED}")
        yield guest


RAW = r"""
import json, socket, time
from scapy.all import (Dot1Q, Ether, GRE, ICMP, IP, IPOption_LSRR, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment,
                       IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN, Raw, TCP, conf, fragment, fragment6, get_if_hwaddr)

OURS4, OURS6, PORT = '10.0.2.100', 'fd00::100', 40000
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
link.bind(('tap0', 0))

def syn(port=80, flags='S'):
    return TCP(sport=PORT, dport=port, flags=flags, seq=1000)

# What comes back to our port within a second, 'SA' being a connection; 'nothing' where it is nothing.
def flags(*packets, to='52:55:0a:00:02:02', tag=None):
    for packet in packets:
        ether = Ether(src=get_if_hwaddr('tap0'), dst=to)
        link.send(bytes(ether / tag / packet if tag is not None else ether / packet))
    end = time.monotonic() + 1
    while (left := end - time.monotonic()) > 0:
        link.settimeout(left)
        try:
            data, about = link.recvfrom(65535)
        except socket.timeout:
            break
        if about[2] == 4: continue  # our own
        answer = Ether(data)
        if TCP in answer and answer[TCP].dport == PORT: return str(answer[TCP].flags)
    return 'nothing'

def opens(*packets, **options):
    return flags(*packets, **options) == 'SA'

def four(to, **options): return IP(src=OURS4, dst=to, **options)
def six(to): return IPv6(src=OURS6, dst=to)
# With the checksum of a packet without the option: scapy counts the last address of the route.
def routed(to, by):
    return four(to, options=[IPOption_LSRR(routers=[by])]) / TCP(bytes(IP(bytes(four(to) / syn()))[TCP]))
PAD = [PadN(optdata=b'\0' * 4)]
"""

# (expression, whether a connection opens)
PACKETS = {
    "control: a SYN by hand": ("opens(four(SHARED) / syn())", PASSES),
    "control: over IPv6": ("opens(six(SHARED6) / syn())", PASSES),
    "control: behind extension headers": (
        "opens(six(SHARED6) / IPv6ExtHdrHopByHop(options=PAD) / IPv6ExtHdrDestOpt(options=PAD) / syn())", PASSES),
    "control: in fragments": ("opens(*fragment(four(SHARED) / syn() / (b'x' * 20), 24))", PASSES),
    "control: in fragments, over IPv6": (
        "opens(*fragment6(six(SHARED6) / IPv6ExtHdrFragment(id=9) / syn() / Raw(b'x' * 1500), 1280))", PASSES),
    "a denied address": ("opens(four(DENIED) / syn())", REFUSED),
    "behind extension headers": (
        "opens(six(DENIED6) / IPv6ExtHdrHopByHop(options=PAD) / IPv6ExtHdrDestOpt(options=PAD) / syn())", REFUSED),
    "behind a fragment header": ("opens(six(DENIED6) / IPv6ExtHdrFragment(id=7) / syn())", REFUSED),
    "in fragments": ("opens(*fragment(four(DENIED) / syn() / (b'x' * 20), 24))", REFUSED),
    "in fragments that cut the header, to an allowed address": (
        "opens(*fragment(four(SHARED) / syn() / (b'x' * 20), 16))", REFUSED),
    "in fragments, over IPv6": (
        "opens(*fragment6(six(DENIED6) / IPv6ExtHdrFragment(id=8) / syn() / Raw(b'x' * 1500), 1280))", REFUSED),
    "by a route of our own, over an allowed address (IPv6)": (
        "opens(six(SHARED6) / IPv6ExtHdrRouting(type=0, segleft=1, addresses=[DENIED6]) / syn())", REFUSED),
    "by a route of our own that has come to its end (IPv6)": (
        "opens(six(DENIED6) / IPv6ExtHdrRouting(type=0, segleft=0, addresses=[SHARED6]) / syn())", REFUSED),
    "by a route of our own, from a denied address on": (
        "opens(routed(DENIED, SHARED))", REFUSED),
    "control: a route of our own leads no further than the address": (
        "opens(routed(SHARED, DENIED))", PASSES),
    "by a route of our own, over an allowed address": (
        "opens(four(SHARED, options=[IPOption_LSRR(routers=[DENIED])]) / syn())", REFUSED),
    "an IPv4 address in an IPv6 one, by hand": ("opens(six('::ffff:' + DENIED) / syn())", REFUSED),
    "an allowed one in that form": ("opens(six('::ffff:' + SHARED) / syn())", REFUSED),
    "an IPv4 address in the old form of IPv6": ("opens(six('::' + DENIED) / syn())", REFUSED),
    "SYN and FIN": ("opens(four(DENIED) / syn(flags='SF'))", REFUSED),
    "SYN with all else": ("opens(four(DENIED) / syn(flags='SPUEC'))", REFUSED),
    "SYN with data": ("opens(four(DENIED) / syn() / b'GET / HTTP/1.0\\r\\n\\r\\n')", REFUSED),
    "to all of the link": ("opens(four(DENIED) / syn(), to='ff:ff:ff:ff:ff:ff')", REFUSED),
    "with a VLAN's tag": ("opens(four(DENIED) / syn(), tag=Dot1Q(vlan=1))", REFUSED),
    "within another IPv4 packet, to an allowed address": ("opens(four(SHARED) / four(DENIED) / syn())", REFUSED),
    "within GRE": ("opens(four(SHARED) / GRE() / four(DENIED) / syn())", REFUSED),
    "IPv6 within IPv4": ("opens(four(SHARED) / six(DENIED6) / syn())", REFUSED),
    "from the gateway's address": ("opens(IP(src='10.0.2.2', dst=DENIED) / syn())", REFUSED),
    "from another address of the subnet": ("opens(IP(src='10.0.2.55', dst=DENIED) / syn())", REFUSED),
}


@pytest.fixture(scope="module")
def opened(strict):
    """What has become of each of PACKETS, tried from a port of its own; one process, as loading scapy takes long."""
    code = RAW + f"""
SHARED, SHARED6, DENIED, DENIED6 = {(SHARED4, SHARED6, DENIED4, DENIED6)!r}
outcomes = {{}}
for way, expression in {({way: expression for way, (expression, _) in PACKETS.items()})!r}.items():
    PORT += 1
    outcomes[way] = eval(expression)
print(json.dumps(outcomes))
"""
    return json.loads(strict.python(code, timeout=120).splitlines()[-1])


@pytest.mark.parametrize("way", PACKETS)
def test_packets(opened, way):
    assert opened[way] == (PACKETS[way][1] == PASSES)


def test_pings_of_other_kinds(strict):
    """What is not an echo request carries nothing out: no timestamp is answered, by an address that is open for pings."""
    code = RAW + f"""
link.settimeout(2)
link.send(bytes(Ether(src=get_if_hwaddr('tap0'), dst='52:55:0a:00:02:02') / four('{FAR4}') / ICMP(type=13, id=7) / (b'x' * 12)))
try:
    while True:
        answer = Ether(link.recv(65535))
        if ICMP in answer and answer[ICMP].type == 14: print('answered')
except socket.timeout:
    print('nothing')
"""
    assert strict.python(code, timeout=60).split()[-1] == "nothing"
    done = strict.run(f"ping -c1 -W3 -s 1000 {DENIED4}", check=False)
    assert done.returncode == 1 and "Packet filtered" in done.stdout


def test_addresses_of_the_guests_choice(strict):
    """It may have any address of its network: none of them is judged otherwise."""
    strict.run("ip addr add 10.0.2.55/24 dev tap0 && ip -6 addr add fd00::55/64 dev tap0 nodad")
    for source, to in (("10.0.2.55", DENIED4), ("fd00::55", f"[{DENIED6}]")):
        done = strict.run(["curl", "-sm5", "--interface", source, f"http://{to}/who"], check=False)
        assert done.returncode == 7, "an RST"
    done = strict.run(["curl", "-sm5", "--interface", "10.0.2.55", "-H", f"Host: {ALLOWED}", f"http://{SHARED4}/who"], check=False)
    assert done.stdout == f"{ALLOWED}\n"


def test_ports_that_lead_in_do_not_lead_out(servers, make_guest, lab):
    """Who comes through a published port is answered, whatever the rules; from there to anybody else is no way."""
    guest = make_guest("--dns", DNS4, "--deny-all", "-p", "udp/7811:81", "-p", "7812:82")
    inside = start(guest, UDP_SERVICE % [("10.0.2.100", 81)])
    assert ask_udp(lab, HOST4, 7811) == "10.0.2.100"
    lab.stop(inside)
    code = f"""
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(('10.0.2.100', 81))
u.settimeout(2)
u.connect(('{FAR4}', 7))
def udp():
    try:
        u.send(b'x')
        return bool(u.recv(10))
    except OSError:
        return False
t = socket.socket()
t.bind(('10.0.2.100', 82))
t.settimeout(2)
def tcp():
    try:
        t.connect(('{FAR4}', 7))
        return True
    except OSError:
        return False
"""
    assert tried(guest, f"[exec({code!r}, globals()), udp() or tcp()][1]") is False


def test_who_answers_unasked(servers, make_guest, lab):
    """Endpoint-independent filtering: anybody may send to a port that the guest has sent from. It may not answer."""
    guest = make_guest("--dns", DNS4, "--allow", f"udp/{FAR4}:5005", "--deny-all")
    process = guest.popen(["/usr/bin/python3", "-c", f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
s.sendto(b'x', ('{FAR4}', 5005))
print(s.recv(100).decode().split()[1], flush=True)
data, who = s.recvfrom(100)
print(data.decode(), flush=True)
try:
    s.connect(who)
    s.send(b'secret')
    s.recv(10)
except OSError as error:
    print(error.errno, flush=True)
"""], stdout=-1)
    port = int(process.stdout.readline())
    out = lab.user_run(["/usr/bin/python3", "-c", f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b'unasked', ('{HOST4}', {port}))
s.settimeout(3)
try:
    print(s.recv(100))
except TimeoutError:
    print('nothing')
"""], namespace=lab.wan).stdout
    assert process.stdout.readline() == "unasked\n", "docs/policy.md says so"
    assert int(process.stdout.readline()) in (13, 113), "administratively prohibited"
    assert out == "nothing\n"


def test_what_was_open_when_the_policy_changed(servers, make_guest, lab):
    """A UDP socket is asked about again; a connection goes on, as docs/policy.md says."""
    runtime = lab.path("runtime")
    runtime.mkdir()
    runtime.chmod(0o777)
    guest = make_guest("--dns", DNS4, "--allow", f"{FAR4}:7", "--deny-all", env={"XDG_RUNTIME_DIR": str(runtime)})
    process = guest.popen(["/usr/bin/python3", "-c", f"""
import socket, sys
t = socket.create_connection(('{FAR4}', 7), 5)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(3)
u.connect(('{FAR4}', 7))
def said(s):
    try:
        s.send(b'x')
        return s.recv(10) == b'x'
    except OSError:
        return False
print(said(t), said(u), flush=True)
sys.stdin.readline()
print(said(t), said(u), flush=True)
"""], stdin=-1, stdout=-1)
    assert process.stdout.readline() == "True True\n"
    control(lab, guest, "deny", FAR4)
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "True False\n"


def test_rules_in_other_letters(servers, make_guest):
    """A dot at the end and capitals are the same name, in a rule and in a question; other alphabets have to be xn--."""
    guest = make_guest("--dns", DNS4, "--allow", "Allowed.Policy.TEST.:80", "--deny-all")
    for name in (ALLOWED, ALLOWED + ".", ALLOWED.upper()):
        assert guest.run(["curl", "-sm5", f"http://{name}/who"], check=False).stdout == f"{ALLOWED}\n", name


def test_other_alphabets_are_told(lab):
    done = lab.user_run([lab.binary, "run", "--allow", "bücher.test", "--deny-all", "--", "true"])
    assert done.returncode == 2 and "a name in ASCII (xn--...)" in done.stderr
    done = lab.user_run([lab.binary, "run", "--allow", "xn--bcher-kva.test", "--deny-all", "--", "true"])
    assert done.returncode == 0, done.stderr
