"""Ways around an egress policy, each tried as a guest that wants out would, with its outcome.

REFUSED is what the policy is for. PASSES is what docs/policy.md says that it does not enforce: a test holds these too, so
that the document stays true.
"""

import json

import pytest

from lab.named_servers import CDN4, DENIED4, DENIED6, DNS4, OTHER_DNS4, SHARED4, SHARED6

pytestmark = pytest.mark.core

REFUSED, PASSES = "refused", "passes"
ALLOWED, OTHER = "allowed.policy.test", "other.policy.test"


@pytest.fixture(scope="module")
def strict(servers, lab):
    """One name is allowed, server names are checked; the guest has asked for its addresses."""
    from lab.guest import Guest
    with Guest(lab, "--dns", DNS4, "--host-loopback", "--allow", f"{ALLOWED}:80,443", "--allow", "*.policy.test:8081",
               "--deny", OTHER, "--deny-all", "--check-sni") as guest:
        guest.out(f"getent ahosts {ALLOWED}")
        yield guest


@pytest.fixture(scope="module")
def loose(servers, lab):
    """Everything is allowed but one name."""
    from lab.guest import Guest
    with Guest(lab, "--dns", DNS4, "--deny", "denied.policy.test", "--allow", "internet") as guest:
        yield guest


TOOLS = r"""
import socket, struct, sys, time, json

def extension(kind, body):
    return struct.pack('!HH', kind, len(body)) + body

def sni(name, kind=0):
    entry = struct.pack('!BH', kind, len(name)) + name.encode()
    return extension(0, struct.pack('!H', len(entry)) + entry)

# Several in one extension, of (kind, name).
def names(*entries):
    entries = b''.join(struct.pack('!BH', kind, len(name)) + name.encode() for kind, name in entries)
    return extension(0, struct.pack('!H', len(entries)) + entries)

# The rest of what a server wants: groups, versions, signature algorithms, and a key share, which may be empty.
REST = (extension(10, struct.pack('!HHH', 4, 0x1d, 0x17)) +
        extension(13, struct.pack('!HHHH', 6, 0x0403, 0x0804, 0x0401)) +
        extension(43, bytes([4, 3, 4, 3, 3])))
SHARE = extension(51, struct.pack('!HHH', 36, 0x1d, 32) + bytes(range(1, 33)))
NO_SHARE = extension(51, b'\0\0')

def hello(extensions, record=16384, share=SHARE):
    body = b'\x03\x03' + b'r' * 32 + b'\0' + struct.pack('!HHHH', 6, 0x1301, 0xc02b, 0xc02f) + b'\1\0'
    extensions = extensions + REST + share
    body += struct.pack('!H', len(extensions)) + extensions
    message = b'\1' + struct.pack('!I', len(body))[1:] + body
    parts = [message[at:at + record] for at in range(0, len(message), record)]
    return b''.join(b'\x16\x03\x01' + struct.pack('!H', len(part)) + part for part in parts)

# What comes back first, None for a refusal. `step`: bytes per segment.
def exchange(address, port, data, step=100000):
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM)
    s.settimeout(5)
    try:
        s.connect((address, port))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(data), step):
            s.sendall(data[at:at + step])
            if step < 100: time.sleep(0.002)
        return s.recv(100) or None
    except (ConnectionError, socket.timeout, OSError) as error:
        return None

# As above, with what is sent first in the SYN: without a cookie, as net.ipv4.tcp_fastopen says.
def fast_open(address, data):
    open('/proc/sys/net/ipv4/tcp_fastopen', 'w').write('5')
    s = socket.socket()
    s.settimeout(5)
    try:
        s.sendto(data, 0x20000000, (address, 443))  # MSG_FASTOPEN
        return s.recv(100)[:1] == b'\x16'
    except OSError:
        return False

def urgent(address, data):
    s = socket.create_connection((address, 443), 5)
    s.settimeout(5)
    try:
        s.sendall(data[:60])
        s.send(data[60:90], socket.MSG_OOB)
        s.sendall(data[90:])
        return s.recv(100)[:1] == b'\x16'
    except OSError:
        return False

def web_request(*headers, target='/who', method='GET'):
    return ''.join(line + '\r\n' for line in (f'{method} {target} HTTP/1.1', *headers, '')).encode()

def web(*headers, **options):
    return exchange(SHARED, 80, web_request(*headers, **options))

# All that comes back.
def both(data):
    s = socket.create_connection((SHARED, 80), 5)
    s.settimeout(5)
    s.sendall(data)
    got = b''
    while (more := s.recv(4096)): got += more
    return got

# A ServerHello: the server has seen ours.
def tls(address, data, step=100000):
    got = exchange(address, 443, data, step)
    return got is not None and got[:1] == b'\x16'

# A server that misses a key share asks for another hello (HelloRetryRequest): does it get to answer that one too?
def tls_twice(address, first, second, between=b''):
    s = socket.create_connection((address, 443), 5)
    s.settimeout(5)
    try:
        s.sendall(first)
        again = s.recv(4096)
        assert again[:1] == b'\x16' and b'\xcf\x21\xad\x74' in again
        s.sendall(between + second)
        got = s.recv(4096)
        return got[:1] == b'\x16' and b'\xcf\x21\xad\x74' not in got
    except OSError:
        return False

def question(name, kind=1, flags=0x100, count=1):
    body = b''.join(bytes([len(p)]) + p.encode() for p in name.split('.') if p) + b'\0'
    return struct.pack('!6H', 7, flags, count, 0, 0, 0) + (body + struct.pack('!2H', kind, 1)) * count

# With labels that may have anything in them.
def labels(*parts, kind=1, dns_class=1):
    return (struct.pack('!6H', 7, 0x100, 1, 0, 0, 0) + b''.join(bytes([len(p)]) + p for p in parts) + b'\0' +
            struct.pack('!2H', kind, dns_class))

# How many of two questions on one connection were answered.
def two_over_tcp(first, second):
    s = socket.create_connection(('10.0.2.3', 53), 5)
    s.settimeout(3)
    s.sendall(b''.join(struct.pack('!H', len(m)) + m for m in (first, second)))
    got = b''
    try:
        while (more := s.recv(4096)): got += more
    except OSError:
        pass
    count = 0
    while len(got) > 2:
        count += 1
        got = got[2 + struct.unpack('!H', got[:2])[0]:]
    return count

# The answer's addresses were given out.
def dns(server, message, port=53, tcp=False):
    if tcp:
        got = exchange(server, port, struct.pack('!H', len(message)) + message)
        got = got and got[2:]
    else:
        family = socket.AF_INET6 if ':' in server else socket.AF_INET
        s = socket.socket(family, socket.SOCK_DGRAM)
        s.settimeout(3)
        try:
            s.connect((server, port))
            s.send(message)
            got = s.recv(4096)
        except OSError:
            return False
    return bool(got) and len(got) >= 12 and struct.unpack('!H', got[6:8])[0] > 0
"""


def tried(guest, expression, **names):
    """The truth of a Python expression in the guest, with the tools above."""
    values = "".join(f"{name} = {value!r}\n" for name, value in names.items())
    return json.loads(guest.python(TOOLS + values + f"print(json.dumps(bool({expression})))", timeout=60))


NAMES = {"SHARED": SHARED4, "SHARED6": SHARED6, "DENIED": DENIED4, "DENIED6": DENIED6, "CDN": CDN4, "OTHER_DNS": OTHER_DNS4,
         "ZONE_DNS": DNS4, "ALLOWED": ALLOWED, "OTHER": OTHER}

# what is tried: (expression that is true where it gets through, outcome)
SERVER_NAMES = {
    "control: the allowed name": ("tls(SHARED, hello(sni(ALLOWED)))", PASSES),
    "control: the allowed name, a byte per segment": ("tls(SHARED, hello(sni(ALLOWED)), 1)", PASSES),
    "control: the allowed name over IPv6": ("tls(SHARED6, hello(sni(ALLOWED)))", PASSES),
    "control: the allowed name in upper case": ("tls(SHARED, hello(sni(ALLOWED.upper())))", PASSES),
    "another name behind the same address": ("tls(SHARED, hello(sni(OTHER)))", REFUSED),
    "another name over IPv6": ("tls(SHARED6, hello(sni(OTHER)))", REFUSED),
    "another name, a byte per segment": ("tls(SHARED, hello(sni(OTHER)), 1)", REFUSED),
    "another name, the segments cut within it": ("tls(SHARED, hello(sni(OTHER)), 70)", REFUSED),
    "another name, a few bytes per TLS record": ("tls(SHARED, hello(sni(OTHER), 5))", REFUSED),
    "another name, records and segments cut": ("tls(SHARED, hello(sni(OTHER), 7), 3)", REFUSED),
    "the allowed name first, another one second": ("tls(SHARED, hello(sni(ALLOWED) + sni(OTHER)))", REFUSED),
    "a name with a zero byte behind it": ("tls(SHARED, hello(sni(ALLOWED + '\\0' + OTHER)))", REFUSED),
    "another name, a byte per TLS record": ("tls(SHARED, hello(sni(OTHER), 1))", REFUSED),
    "control: the allowed name, a byte per TLS record": ("tls(SHARED, hello(sni(ALLOWED), 1))", PASSES),
    "another name in the SYN (TCP Fast Open)": ("fast_open(SHARED, hello(sni(OTHER)))", REFUSED),
    "control: the allowed name in the SYN": ("fast_open(SHARED, hello(sni(ALLOWED)))", PASSES),
    "another name, a part of it as urgent data": ("urgent(SHARED, hello(sni(OTHER)))", REFUSED),
    "two names in one extension": ("tls(SHARED, hello(names((0, ALLOWED), (0, OTHER))))", REFUSED),
    "a name of another kind before": ("tls(SHARED, hello(names((1, OTHER), (0, ALLOWED))))", REFUSED),
    "a name of another kind behind": ("tls(SHARED, hello(names((0, ALLOWED), (1, OTHER))))", REFUSED),
    "another name with a dot behind it": ("tls(SHARED, hello(sni(OTHER + '.')))", REFUSED),
    "a name with a port": ("tls(SHARED, hello(sni(ALLOWED + ':443')))", REFUSED),
    "control: a hello of 12 KiB": ("tls(SHARED, hello(sni(ALLOWED) + extension(21, bytes(12000))))", PASSES),
    "a hello of more than 16 KiB": ("tls(SHARED, hello(sni(ALLOWED) + extension(21, bytes(17000))))", REFUSED),
    "an empty record before the hello": ("tls(SHARED, b'\\x16\\3\\1\\0\\0' + hello(sni(ALLOWED)))", REFUSED),
    "an alert before the hello": ("tls(SHARED, b'\\x15\\3\\1\\0\\2\\1\\0' + hello(sni(OTHER)))", REFUSED),
    "another message in the hello's record": (
        "tls(SHARED, b'\\x16\\3\\1\\0\\4\\0\\0\\0\\0' + hello(sni(OTHER)))", REFUSED),
    "a hello of SSL 2": ("exchange(SHARED, 443, b'\\x80\\x2e\\1\\3\\3\\0\\x15\\0\\0\\0\\x10' + b'x' * 37)", REFUSED),
    "TLS on port 80": ("exchange(SHARED, 80, hello(sni(ALLOWED)))", REFUSED),
    "no name": ("tls(SHARED, hello(b''))", REFUSED),
    "an address as the name": ("tls(SHARED, hello(sni(SHARED)))", REFUSED),
    "a hello that never ends": ("exchange(SHARED, 443, b'\\x16\\x03\\x01\\x3f\\xff' + b'\\1\\0\\x3f\\xf0' + b'x' * 30000)", REFUSED),
    "no TLS on port 443": ("exchange(SHARED, 443, b'GET / HTTP/1.0\\r\\n\\r\\n')", REFUSED),
    "control: a second hello, with the same name": (
        "tls_twice(SHARED, hello(sni(ALLOWED), share=NO_SHARE), hello(sni(ALLOWED)))", PASSES),
    "a second hello with another name": (
        "tls_twice(SHARED, hello(sni(ALLOWED), share=NO_SHARE), hello(sni(OTHER)))", REFUSED),
    "a second hello with another name, behind what servers pass over": (
        "tls_twice(SHARED, hello(sni(ALLOWED), share=NO_SHARE), hello(sni(OTHER), 9), b'\\x14\\3\\3\\0\\1\\1')", REFUSED),
    "a second hello without being asked": (
        "exchange(SHARED, 443, hello(sni(ALLOWED), share=NO_SHARE) + hello(sni(OTHER))) and "
        "tls_twice(SHARED, hello(sni(ALLOWED), share=NO_SHARE) + hello(sni(OTHER)), b'')", REFUSED),
    "keys that hide the real name (ECH) with the allowed one outside": (
        "tls(SHARED, hello(sni(ALLOWED) + extension(0xfe0d, b'\\0' * 40)))", PASSES),
    "control: the allowed Host": ("exchange(SHARED, 80, b'GET /who HTTP/1.1\\r\\nHost: allowed.policy.test\\r\\n\\r\\n')", PASSES),
    "another Host": ("exchange(SHARED, 80, b'GET /who HTTP/1.1\\r\\nHost: other.policy.test\\r\\n\\r\\n')", REFUSED),
    "another Host, a byte per segment": (
        "exchange(SHARED, 80, b'GET /who HTTP/1.1\\r\\nHost: other.policy.test\\r\\n\\r\\n', 1)", REFUSED),
    "two Hosts": (
        "exchange(SHARED, 80, b'GET /who HTTP/1.1\\r\\nHost: allowed.policy.test\\r\\nHost: other.policy.test\\r\\n\\r\\n')", REFUSED),
    "another host in the request line": (
        "exchange(SHARED, 80, b'GET http://other.policy.test/who HTTP/1.1\\r\\nHost: allowed.policy.test\\r\\n\\r\\n')", REFUSED),
    "another Host behind a bare CR": (
        "exchange(SHARED, 80, b'GET /who HTTP/1.1\\rHost: other.policy.test\\r\\nHost: allowed.policy.test\\r\\n\\r\\n')", REFUSED),
    "a folded header": (
        "exchange(SHARED, 80, b'GET /who HTTP/1.1\\r\\nX: a\\r\\n b\\r\\nHost: allowed.policy.test\\r\\n\\r\\n')", REFUSED),
    "HTTP/2 without an upgrade": ("exchange(SHARED, 80, b'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n' + b'\\0\\0\\0\\4\\0\\0\\0\\0\\0')", REFUSED),
    "HTTP/0.9": ("exchange(SHARED, 80, b'GET /who\\r\\n\\r\\n')", REFUSED),
    "no Host": ("exchange(SHARED, 80, b'GET /who HTTP/1.0\\r\\n\\r\\n')", REFUSED),
    "control: lines that end with LF": ("exchange(SHARED, 80, b'GET /who HTTP/1.1\\nHost: allowed.policy.test\\n\\n')", PASSES),
    "a Host on a folded line": ("exchange(SHARED, 80, b'GET /who HTTP/1.1\\r\\nHost:\\r\\n other.policy.test\\r\\n\\r\\n')", REFUSED),
    "another Host with a space before its colon": (
        "web('Host : other.policy.test', 'Host: allowed.policy.test')", REFUSED),
    "another Host with a tabulator of the other kind before its colon": (
        "web('Host\\x0b: other.policy.test', 'Host: allowed.policy.test')", REFUSED),
    "a Host behind a port": ("web('Host: allowed.policy.test:80@other.policy.test')", REFUSED),
    "an encoded Host": ("web('Host: other%2epolicy.test')", REFUSED),
    "another Host with a dot behind it": ("web('Host: other.policy.test.')", REFUSED),
    "another host behind a user's name": (
        "web('Host: other.policy.test', target='http://allowed.policy.test@other.policy.test/who')", REFUSED),
    "another host before a user's name": ("web(target='http://other.policy.test\\\\@allowed.policy.test/who')", REFUSED),
    "a tunnel to another host": ("web('Host: allowed.policy.test', target='other.policy.test:443', method='CONNECT')", REFUSED),
    "a header of more than 16 KiB": ("web('X: ' + 'x' * 17000, 'Host: other.policy.test')", REFUSED),
    "another Host in the second request of the same segment": (
        "b'other.policy.test' in both(web_request('Host: allowed.policy.test') + "
        "web_request('Host: other.policy.test', 'Connection: close'))", PASSES),
    "another Host in the second request of a connection": (
        "b'other.policy.test' in second()", PASSES),
}

SECOND = r"""
def second():
    s = socket.create_connection((SHARED, 80), 5)
    s.settimeout(5)
    s.sendall(b'GET /who HTTP/1.1\r\nHost: allowed.policy.test\r\n\r\n')
    got = s.recv(4096)
    s.sendall(b'GET /who HTTP/1.1\r\nHost: other.policy.test\r\nConnection: close\r\n\r\n')
    while (more := s.recv(4096)): got += more
    return got
"""


@pytest.mark.parametrize("way", SERVER_NAMES)
def test_server_names(strict, way):
    expression, outcome = SERVER_NAMES[way]
    if "second()" in expression:
        expression = f"[exec({SECOND!r}, globals()), {expression}][1]"
    assert tried(strict, expression, **NAMES) == (outcome == PASSES)


# Over the strict guest: nothing but what is allowed by name.
STRICT = {
    "control: the forwarder, an allowed name": ("dns('10.0.2.3', question(ALLOWED))", PASSES),
    "control: the forwarder over TCP and IPv6": ("dns('fd00::3', question(ALLOWED), tcp=True)", PASSES),
    "the forwarder, another name": ("dns('10.0.2.3', question('denied.lab'))", REFUSED),
    "the forwarder over TCP, another name": ("dns('10.0.2.3', question('www.cdn.test'), tcp=True)", REFUSED),
    "an allowed and another question in one message": ("dns('10.0.2.3', question(ALLOWED, count=2))", REFUSED),
    "an update instead of a question": ("dns('10.0.2.3', question(ALLOWED, flags=0x2800))", REFUSED),
    "control: an allowed name in upper case": ("dns('10.0.2.3', question(ALLOWED.upper()))", PASSES),
    "an allowed name with a zero byte behind it": (
        "dns('10.0.2.3', labels(b'denied', b'policy', b'test', b'allowed', b'policy', b'test\\0'))", REFUSED),
    "dots within a label": ("dns('10.0.2.3', labels(b'allowed.policy', b'test'))", REFUSED),
    "another class": ("dns('10.0.2.3', labels(b'allowed', b'policy', b'test', dns_class=3))", REFUSED),
    "any class": ("dns('10.0.2.3', labels(b'allowed', b'policy', b'test', dns_class=255))", REFUSED),
    "an answer instead of a question": ("dns('10.0.2.3', question(ALLOWED, flags=0x8180))", REFUSED),
    "no question": ("dns('10.0.2.3', struct.pack('!6H', 7, 0x100, 0, 0, 0, 0))", REFUSED),
    "a pointer for a name": ("dns('10.0.2.3', struct.pack('!6H', 7, 0x100, 1, 0, 0, 0) + b'\\xc0\\x0c\\0\\1\\0\\1')", REFUSED),
    "control: two questions on one connection": ("two_over_tcp(question(ALLOWED), question(ALLOWED)) == 2", PASSES),
    "an allowed question and another one behind it": (
        "two_over_tcp(question(ALLOWED), question('www.cdn.test'))", REFUSED),
    "another resolver": ("dns(OTHER_DNS, question('denied.policy.test'))", REFUSED),
    "another resolver over TCP": ("dns(OTHER_DNS, question('denied.policy.test'), tcp=True)", REFUSED),
    "the forwarder's own server": ("dns(ZONE_DNS, question('denied.policy.test'))", REFUSED),
    "an address that the guest knew before": ("exchange(DENIED, 80, b'GET / HTTP/1.0\\r\\n\\r\\n')", REFUSED),
    "the same over IPv6": ("exchange(DENIED6, 80, b'GET / HTTP/1.0\\r\\n\\r\\n')", REFUSED),
    "an IPv4 address in an IPv6 one": ("exchange('::ffff:' + DENIED, 80, b'GET / HTTP/1.0\\r\\n\\r\\n')", REFUSED),
    "an IPv4 address in NAT64's": ("exchange('64:ff9b::' + DENIED, 80, b'GET / HTTP/1.0\\r\\n\\r\\n')", REFUSED),
    "another port of an allowed address": ("exchange(SHARED, 8080, b'GET / HTTP/1.0\\r\\n\\r\\n')", REFUSED),
    "UDP without a server name to an allowed address": ("udp(SHARED, 443)", REFUSED),
    "a name that leads to the gateway, for the host's loopback": (
        "dns('10.0.2.3', question('rebind.policy.test')) and exchange('10.0.2.2', 8081, b'x')", REFUSED),
    "data within a question for an allowed wildcard": ("dns_reaches('secret-data.policy.test')", PASSES),
}

UDP = r"""
def udp(address, port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(0.5)
    s.connect((address, port))
    try:
        s.send(b'x')
        s.recv(10)
    except socket.timeout:
        return True
    except ConnectionRefusedError:
        return True  # the server's own port unreachable: it was reached
    except OSError:
        return False
    return True

# The answer is the server's NXDOMAIN with its own flags, not ours.
def dns_reaches(name):
    return dns('10.0.2.3', question(name)) or True
"""


@pytest.mark.parametrize("way", STRICT)
def test_strict(strict, servers, way):
    expression, outcome = STRICT[way]
    assert tried(strict, f"[exec({UDP!r}, globals()), {expression}][1]", **NAMES) == (outcome == PASSES)
    if "dns_reaches" in expression:
        assert servers.asked("secret-data.policy.test")
    assert not servers.asked("denied.policy.test")


# Over the loose guest: one name is refused, and the Internet is open.
LOOSE = {
    "control: another name": ("dns('10.0.2.3', question('www.cdn.test'))", PASSES),
    "the refused name": ("dns('10.0.2.3', question('denied.policy.test'))", REFUSED),
    "the refused name in other letters, with a dot": ("dns('10.0.2.3', question('DENIED.Policy.TEST.'))", REFUSED),
    "the refused name over TCP": ("dns('10.0.2.3', question('denied.policy.test'), tcp=True)", REFUSED),
    "another resolver": ("dns(OTHER_DNS, question('denied.policy.test'))", REFUSED),
    "another resolver over TCP": ("dns(OTHER_DNS, question('denied.policy.test'), tcp=True)", REFUSED),
    "DNS over TLS": ("exchange(CDN, 853, b'x')", REFUSED),
    "a known resolver's name": ("dns('10.0.2.3', question('dns.google'))", REFUSED),
    "discovery of resolvers": ("dns('10.0.2.3', question('_dns.resolver.arpa', 64))", REFUSED),
    "private addresses": ("exchange('10.0.2.2', 4007, b'x')", REFUSED),
    "the refused name's address, known otherwise": ("exchange(DENIED, 80, b'GET / HTTP/1.0\\r\\n\\r\\n')", PASSES),
}


@pytest.mark.parametrize("way", LOOSE)
def test_loose(loose, servers, way):
    expression, outcome = LOOSE[way]
    assert tried(loose, expression, **NAMES) == (outcome == PASSES)


def kdig(guest, *words):
    return guest.run(["kdig", "+short", "+retry=0", "+time=3", *words, "denied.policy.test"], check=False).stdout.strip()


def test_encrypted_resolvers(servers, strict, loose, make_guest):
    """kdig and unbound over TLS and HTTPS: what stands between them is the policy alone."""
    servers.start_unbound()
    at = f"@{OTHER_DNS4}"
    free = make_guest("--dns", DNS4)
    for over in ("+tls", "+https"):
        assert kdig(free, at, over) == DENIED4
        assert DENIED4 not in kdig(strict, at, over)
    assert DENIED4 not in kdig(loose, at, "+tls")
    assert kdig(loose, at, "+https") == DENIED4, "a resolver that nobody knows is a web site"
    assert f"policy: refused tcp {OTHER_DNS4}:853" in strict.messages() and f"{OTHER_DNS4}:443" in strict.messages()
    assert f"policy: refused tcp {OTHER_DNS4}:853" in loose.messages()
    named = make_guest("--dns", DNS4, "--allow", f"{OTHER_DNS4}:853", "--allow", ALLOWED, "--deny-all")
    assert kdig(named, at, "+tls") == DENIED4, "a rule names that address"
    assert DENIED4 not in kdig(named, at, "+https")


def test_known_resolver_over_https(loose):
    """Not in the lab's world: refused by an RST, before anything could time out."""
    out = loose.run(["curl", "-sk", "-m5", "https://8.8.8.8/dns-query"], check=False)
    assert out.returncode == 7 and "policy: refused tcp 8.8.8.8:443" in loose.messages()


def test_fragments(strict, servers):
    """A datagram in fragments is put together first."""
    out = strict.python(f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER, IP_PMTUDISC_DONT
s.settimeout(3)
s.connect(('203.0.113.2', 7))
s.send(b'x' * 5000)
try:
    print(len(s.recv(6000)))
except OSError as error:
    print(type(error).__name__)
""")
    assert out.strip() == "OSError"


def test_segments_of_no_connection(strict):
    """Without a SYN there is nothing to ask about, and nothing leaves."""
    out = strict.python(f"""
from scapy.all import IP, TCP, sr1, conf
conf.verb = 0
reply = sr1(IP(dst='{DENIED4}')/TCP(sport=40000, dport=80, flags='PA', seq=1, ack=1)/b'data', timeout=3)
print(reply[TCP].flags)
""", timeout=60)
    assert out.strip().splitlines()[-1] == "R"
