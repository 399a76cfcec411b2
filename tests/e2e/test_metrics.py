"""--metrics: what Prometheus reads, with values that agree with what was sent, whoever else connects."""

import os
import re
import signal
import socket
import stat
import subprocess
import time

import pytest

from lab.guest import said, wait_for
from lab.network import SILENT4, WAN4, WAN6

PORT = 9100


class Metrics:
    """What one scrape has: metrics["name", "label=value", ...], as numbers."""

    def __init__(self, text):
        self.text = text
        self.values = {}
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line).groups()
            pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")
            self.values[(name, *sorted(f"{key}={text}" for key, text in pairs))] = float(value)

    def __getitem__(self, key):
        name, *labels = key if isinstance(key, tuple) else (key,)
        return self.values[(f"slirp_forwarder_{name}" if f"slirp_forwarder_{name}" in self.text else name, *sorted(labels))]


@pytest.fixture
def scrape(lab):
    def get(*words, path="/metrics"):
        time.sleep(0.25)  # nobody gets the numbers of another one's scrape then
        words = words or (f"http://127.0.0.1:{PORT}{path}",)
        done = lab.user_run(["curl", "-sS", "--fail-with-body", "--max-time", "10", *words])
        assert done.returncode == 0, done.stderr + done.stdout
        return Metrics(done.stdout)

    return get


def in_host(lab, code, **options):
    return lab.user_popen(["/usr/bin/python3", "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE, **options)


# --- what is in it


def test_promtool_finds_nothing_to_complain_about(make_guest, scrape):
    make_guest("--metrics", str(PORT))
    done = subprocess.run(["promtool", "check", "metrics"], input=scrape().text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    # It can fail.
    bad = subprocess.run(["promtool", "check", "metrics"], input="# TYPE a counter\na 1\n", text=True, check=False,
                         capture_output=True)
    assert bad.returncode != 0


@pytest.mark.core
@pytest.mark.parametrize("options", [[], ["--threads", "2"]], ids=["plain", "threads"])
def test_values_agree_with_what_was_sent(lab, make_guest, scrape, options):
    guest = make_guest("--metrics", f"127.0.0.1:{PORT}", *options)
    before = scrape()
    processors = len(os.sched_getaffinity(0))
    threads = bool(options) or "--threads=2" in os.environ.get("SF_TEST_OPTIONS", "")
    assert before["threads"] == (2 if threads else 1 if processors <= 2 else min(processors, 4))
    assert abs(before["process_start_time_seconds"] - time.time()) < 60
    assert (1 << 20) < before["process_resident_memory_bytes"] < (1 << 30)
    code = """
import socket, sys
for address in ({0!r}, {1!r}):
    for _ in range(5):
        s = socket.create_connection((address, 7), 5)
        s.sendall(b'x' * 10000)
        got = 0
        while got < 10000:
            got += len(s.recv(65536))
        s.close()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
for _ in range(100):
    s.sendto(b'y' * 1000, ({0!r}, 7))
    assert len(s.recv(2000)) == 1000
keep = socket.create_connection(({0!r}, 7), 5)
print('done', flush=True)
sys.stdin.read()
"""
    client = guest.popen(["/usr/bin/python3", "-c", code.format(WAN4, WAN6)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert client.stdout.readline() == "done\n"
    guest.run(["ping", "-c", "3", "-i", "0.2", WAN4])
    now = wait_for(lambda: next((it for it in [scrape()] if it["flows", "protocol=tcp", "state=established"] == 1), None),
                   10, "the other connections to be over")

    def grown(*key):
        return now[key] - before[key]

    for direction in ("direction=from_guest", "direction=to_guest"):
        assert grown("payload_bytes_total", "protocol=tcp", direction) == 100_000
        assert grown("payload_bytes_total", "protocol=udp", direction) == 100_000
        assert grown("datagrams_total", "protocol=udp", direction) == 100
        assert grown("datagrams_total", "protocol=icmp", direction) == 3
        assert 200 < grown("packets_total", direction) < 2000
        assert 200_000 < grown("frame_bytes_total", direction) < 400_000
    assert grown("flows_opened_total", "protocol=tcp", "origin=guest") == 11
    assert grown("flows_opened_total", "protocol=udp", "origin=guest") == 1
    assert grown("flows_opened_total", "protocol=icmp", "origin=guest") == 1
    assert now["flows", "protocol=udp", "state=open"] == 1 and now["flows", "protocol=icmp", "state=open"] == 1
    for end in ("end=remote", "end=guest"):
        assert grown("tcp_round_trip_seconds_count", end) == 10
        assert grown("tcp_round_trip_seconds_bucket", end, "le=+Inf") == 10
        assert 0 < grown("tcp_round_trip_seconds_sum", end) < 10
    assert now["flow_table_bytes", "protocol=tcp"] > 10_000
    client.stdin.close()
    client.wait(10)
    wait_for(lambda: scrape()["flows", "protocol=tcp", "state=established"] == 0, 10, "the last connection to be over")


@pytest.mark.core
def test_failures_refusals_and_drops(make_guest, scrape):
    guest = make_guest("--metrics", str(PORT), "--deny", "203.0.113.0/24")
    before = scrape()
    guest.run(["curl", "-s", "http://203.0.113.2/"], check=False)
    guest.run(["curl", "-s", f"http://{WAN4}:4/"], check=False)
    guest.python(f"import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 99).sendto(b'x', ({WAN4!r}, 0))")
    now = scrape()
    assert now["policy_refusals_total"] - before["policy_refusals_total"] == 1
    assert now["drops_total", "reason=policy-refused"] - before["drops_total", "reason=policy-refused"] == 1
    assert now["drops_total", "reason=unknown-protocol"] - before["drops_total", "reason=unknown-protocol"] == 1
    assert now["tcp_connect_failures_total"] - before["tcp_connect_failures_total"] == 1


def test_dns_outcomes(make_guest, scrape):
    guest = make_guest("--metrics", str(PORT), "--deny", "refused.test")
    guest.run(["dig", "@10.0.2.3", "wan.lab.test"])
    guest.run(["dig", "@10.0.2.3", "refused.test"])
    now = scrape()
    assert now["dns_queries_total"] == 2 and now["dns_pending"] == 0
    assert now["dns_outcomes_total", "outcome=answered"] == 1
    assert now["dns_outcomes_total", "outcome=refused"] == 1
    guest.close()
    silent = make_guest("--metrics", str(PORT), "--dns", SILENT4)
    silent.run(["dig", "@10.0.2.3", "+tries=1", "+time=10", "wan.lab.test"], check=False)
    now = scrape()
    assert now["dns_outcomes_total", "outcome=timed-out"] == 1
    assert now["dns_outcomes_total", "outcome=failed"] == 0


@pytest.mark.core
def test_published_ports_and_loopback_ports(lab, make_guest, scrape):
    guest = make_guest("--metrics", str(PORT), "-p", "8080:7", "--publish-loopback", "8081:7")
    code = """
import socket, threading
server = socket.create_server(('0.0.0.0', 7))
print('listening', flush=True)
while True:
    s, _ = server.accept()
    s.sendall(s.recv(100) * 100)
    s.close()
"""
    server = guest.popen(["/usr/bin/python3", "-c", code], stdout=subprocess.PIPE)
    assert server.stdout.readline() == "listening\n"
    client = """
import socket
s = socket.create_connection(('127.0.0.1', {}), 5)
s.sendall(b'z' * 10)
got = 0
while data := s.recv(65536):
    got += len(data)
print(got)
"""
    for port in (8080, 8081):
        assert lab.user_run(["/usr/bin/python3", "-c", client.format(port)]).stdout == "1000\n"
    now = scrape()
    assert now["flows_opened_total", "protocol=tcp", "origin=host"] == 1
    assert now["payload_bytes_total", "protocol=tcp", "direction=from_guest"] == 1000
    assert now["payload_bytes_total", "protocol=tcp", "direction=to_guest"] == 10
    assert now["loopback_flows_opened_total", "protocol=tcp"] == 1
    assert now["loopback_payload_bytes_total", "protocol=tcp", "direction=from_guest"] == 1000
    assert now["loopback_payload_bytes_total", "protocol=tcp", "direction=to_guest"] == 10
    lab.stop(server)


# --- where it is


def test_a_unix_socket(lab, nothing_left, make_guest, scrape):
    path = lab.path("metrics")
    guest = make_guest("--metrics", f"unix:{path}")
    mode = path.stat().st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
    assert scrape("--unix-socket", str(path), "http://x/metrics")["threads"] >= 1
    guest.process.kill()  # the keeper removes it
    wait_for(lambda: not path.exists(), 5, "the socket to be gone")
    guest = make_guest("--metrics", f"unix:{path}")
    guest.close()
    assert not path.exists()


def test_ipv6_and_a_port_of_the_hosts_choice(make_guest, scrape):
    guest = make_guest("--metrics", "[::1]:0")
    (port,) = re.findall(r"metrics are at http://\[::1\]:(\d+)/metrics", guest.messages())
    assert scrape(f"http://[::1]:{port}/metrics")["threads"] >= 1


def test_a_taken_port(lab, nothing_left, make_guest):
    make_guest("--metrics", str(PORT))
    done = lab.user_run([lab.binary, "run", "--metrics", str(PORT), "--", "touch", "/tmp/never"])
    assert done.returncode == 1
    assert said(done) == [f"slirp-forwarder: cannot serve metrics at 127.0.0.1:{PORT}: Address already in use; "
                          "end the program that listens there, or choose another port"]


@pytest.mark.core
def test_only_its_own_loopback(lab, make_guest, scrape):
    """Not from the network, and not from inside."""
    from lab.network import HOST4

    guest = make_guest("--metrics", str(PORT))
    done = lab.user_run(["curl", "-sS", "--max-time", "5", f"http://{HOST4}:{PORT}/metrics"], namespace=lab.wan)
    assert done.returncode == 7, done
    # Refused, or without an answer; and curl works inside, and the port from the host.
    for address in ("10.0.2.2", HOST4, "127.0.0.1"):
        done = guest.run(["curl", "-s", "--max-time", "5", f"http://{address}:{PORT}/metrics"], check=False)
        assert done.returncode in (7, 28), (address, done)
    assert guest.out(["curl", "-sS", "--max-time", "5", f"http://{WAN4}/"]) == "hello from the lab\n"
    assert scrape()["threads"] >= 1


# --- clients of all kinds


def ask(lab, text):
    code = f"""
import socket, sys
s = socket.create_connection(('127.0.0.1', {PORT}), 5)
s.sendall({text!r})
s.settimeout(10)
got = b''
while data := s.recv(65536):
    got += data
sys.stdout.buffer.write(got)
"""
    done = lab.user_run(["/usr/bin/python3", "-c", code])
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.core
def test_malformed_requests(lab, make_guest, scrape):
    make_guest("--metrics", str(PORT))
    host = b"Host: x\r\n\r\n"
    for text, status in ((b"GET / HTTP/1.1\r\n" + host, "404 Not Found"), (b"GET /metrics/x HTTP/1.0\r\n\r\n", "404 Not Found"),
                         (b"PUT /metrics HTTP/1.1\r\n" + host, "405 Method Not Allowed"), (b"\x16\x03\x01\x00\xee\x01\n", "400 Bad Request"),
                         (b"GET /metrics HTTP/1.1\r\n\r\n", "400 Bad Request"), (b"GET /metrics HTTP/3.0\r\n\r\n", "505 HTTP Version Not Supported"),
                         (b"GET /" + b"a" * 70000, "431 Request Header Fields Too Large")):
        assert ask(lab, text).startswith(f"HTTP/1.1 {status}\n"), text[:40]
    assert scrape()["threads"] >= 1


@pytest.mark.core
def test_a_thousand_connections_and_slow_ones(lab, make_guest, scrape):
    """Idle ones, half a request, and readers that do not read: scrapes and packets go on at once."""
    guest = make_guest("--metrics", str(PORT))
    code = f"""
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
kept = []
for i in range(1000):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    s.connect(('127.0.0.1', {PORT}))
    try:
        s.sendall((b'', b'GET /met', b'GET /metrics HTTP/1.0\\r\\n\\r\\n')[i % 3])
    except OSError:
        pass
    kept.append(s)
print('connected', flush=True)
sys.stdin.read()
"""
    many = in_host(lab, code)
    assert many.stdout.readline() == "connected\n"
    start = time.monotonic()
    assert scrape()["threads"] >= 1
    assert guest.out(["curl", "-sS", f"http://{WAN4}/"]) == "hello from the lab\n"
    assert time.monotonic() - start < 4
    sockets = [os.readlink(f"/proc/{guest.forwarder}/fd/{fd}") for fd in os.listdir(f"/proc/{guest.forwarder}/fd")]
    assert len(sockets) < 100
    many.stdin.close()
    many.wait(10)
    assert scrape()["threads"] >= 1


@pytest.mark.core
def test_confined(lab, make_guest, scrape):
    """The filter holds what it takes; it sees no more files than without, but for one that says how much memory it has."""
    from test_confinement import kinds, status_of

    guest = make_guest("--metrics", str(PORT))
    wait_for(lambda: status_of(guest.forwarder)["Seccomp"] == "2", 5, "the filter")
    scrape()
    files = {kind for kind in kinds(guest.forwarder) if kind.startswith("/")}
    assert files == {"/dev/net/tun", f"/proc/{guest.forwarder}/statm"}, files


def test_wrong_addresses(lab):
    for text in ("localhost:9100", ":9100", "::1:9100", "70000"):
        done = lab.user_run([lab.binary, "run", "--metrics", text, "--", "true"])
        assert done.returncode == 2
        assert f"--metrics '{text}'" in done.stderr and done.stderr.count("\n") == 1
