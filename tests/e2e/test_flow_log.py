"""--flow-log: every flow has its records, whatever the disk or the reader does; policy suggest makes a policy of them."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from lab.guest import Guest, wait_for
from lab.named_servers import CDN4, DENIED4, DNS4, MANY4, SHARED4
from lab.network import FAR4, HOST4, WAN4, WAN6
from loopback import TCP_SERVICE, UDP_SERVICE, ask, ask_udp, start

RULES = ("--allow", "allowed.policy.test:80,443", "--allow", "udp/203.0.113.2:7", "--allow", "icmp/198.51.100.2", "--deny-all")


@pytest.fixture
def path(lab):
    """Of a flow log that does not exist yet."""
    return lab.path("flow-log")


def records(path):
    """All whole lines; what is no JSON fails here."""
    text = pathlib.Path(path).read_text(encoding="utf-8") if pathlib.Path(path).exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def matching(path, **fields):
    return [one for one in records(path) if all(one.get(key) == value for key, value in fields.items())]


def one(path, **fields):
    """The record with these fields; it comes soon, and there is no second one."""
    found = wait_for(lambda: matching(path, **fields), 5, f"a record with {fields}")
    assert len(found) == 1, found
    return found[0]


def connect(guest, address, port, times=1, check=True):
    """Connections one after the other, each with a request to an echo server; how many worked."""
    out = guest.python(f"""
import socket
worked = 0
for _ in range({times}):
    try:
        with socket.create_connection(('{address}', {port}), 5) as s:
            s.sendall(b'x')
            worked += s.recv(1) == b'x'
    except OSError:
        pass
print(worked)
""", timeout=120)
    if check:
        assert int(out) == times
    return int(out)


def flood(guest, number):
    """As many connections, most of them refused at once: two hundred at a time."""
    return guest.python(f"""
import socket
for _ in range({number}):
    s = socket.socket()
    s.settimeout(5)
    try:
        s.connect(('{WAN4}', 81))
    except OSError:
        pass
    s.close()
""", timeout=100)


@pytest.mark.core
def test_tcp(make_guest, lab, path):
    guest = make_guest("--flow-log", path)
    assert guest.out(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://wan.lab.test/"]) == "200"
    opened = one(path, event="opened", protocol="tcp", remote_port=80)
    ended = one(path, event="ended", protocol="tcp", remote_port=80)
    assert opened["id"] == ended["id"] and opened["guest_port"] == ended["guest_port"]
    assert opened["remote_addr"] in (WAN4, WAN6) and opened["guest_addr"] in ("10.0.2.100", "fd00::100")
    assert not opened["inbound"] and opened["name"] == ended["name"] == "wan.lab.test"
    assert ended["server_name"] == "wan.lab.test" and ended["reason"] == "finished"
    assert ended["bytes_from_guest"] > 50 and ended["bytes_to_guest"] > 10
    assert 3 <= ended["packets_from_guest"] < 20 and 2 <= ended["packets_to_guest"] < 20
    assert 0 < ended["remote_rtt_us"] < 1e6 and 0 < ended["duration_us"] < 5e6
    assert opened["time"] <= ended["time"] and ended["time"].endswith("Z")
    at = subprocess.run(["date", "-u", "-d", ended["time"], "+%s"], capture_output=True, text=True, check=True).stdout
    assert abs(int(at) - time.time()) < 60, "the wall clock's"
    assert pathlib.Path(path).stat().st_mode & 0o777 == 0o600


@pytest.mark.core
@pytest.mark.parametrize("port,reason", [(5002, "reset by remote"), (13, "finished")])
def test_how_it_ends(make_guest, path, port, reason):
    guest = make_guest("--flow-log", path)
    guest.python(f"""
import socket
s = socket.create_connection(('{WAN4}', {port}), 5)
if {port} == 5002: s.sendall(b'x')
try:
    while s.recv(100): pass
except ConnectionResetError: pass
""")
    assert one(path, event="ended", remote_port=port)["reason"] == reason


@pytest.mark.core
def test_reset_by_the_guest(make_guest, path):
    guest = make_guest("--flow-log", path)
    guest.python(f"""
import socket, struct
s = socket.create_connection(('{WAN4}', 7), 5)
s.sendall(b'x')
s.recv(1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
s.close()
""")
    ended = one(path, event="ended", remote_port=7)
    assert ended["reason"] == "reset by guest" and ended["bytes_from_guest"] == ended["bytes_to_guest"] == 1


@pytest.mark.core
def test_refused(make_guest, path):
    guest = make_guest("--flow-log", path)
    guest.run(["curl", "-s", f"http://{WAN4}:81/"], check=False)
    assert one(path, protocol="tcp", remote_port=81)["reason"] == "refused by remote"
    guest.run(["curl", "-s", "-m5", "http://169.254.169.254/"], check=False)
    assert one(path, remote_addr="169.254.169.254")["reason"] == "unreachable"
    assert not matching(path, event="opened")


@pytest.mark.core
def test_udp_to_many_from_one_socket(make_guest, path):
    """A record for each other end, and not for each datagram."""
    guest = make_guest("--flow-log", path)
    guest.python(f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
for _ in range(3):
    for address in ('{WAN4}', '{FAR4}'):
        s.sendto(b'12345', (address, 7))
        assert s.recv(100) == b'12345'
""")
    for address in (WAN4, FAR4):
        assert not one(path, event="opened", protocol="udp", remote_addr=address, remote_port=7)["inbound"]
    guest.close()
    for address in (WAN4, FAR4):
        ended = one(path, event="ended", protocol="udp", remote_addr=address)
        assert (ended["bytes_from_guest"], ended["bytes_to_guest"]) == (15, 15)
        assert (ended["packets_from_guest"], ended["packets_to_guest"]) == (3, 3)
        assert ended["reason"] == "program ended"


@pytest.mark.core
def test_ping(make_guest, path):
    guest = make_guest("--flow-log", path)
    guest.out(["ping", "-c", "3", "-i", "0.2", WAN4])
    guest.close()
    ended = one(path, event="ended", protocol="icmp", remote_addr=WAN4)
    assert (ended["packets_from_guest"], ended["packets_to_guest"]) == (3, 3)
    assert 0 < ended["remote_rtt_us"] < 1e6


def test_published(make_guest, lab, path):
    guest = make_guest("--flow-log", path, "-p", "7801:80", "-p", "udp/7802:81")
    inside = start(guest, TCP_SERVICE % [("10.0.2.100", 80)])
    datagrams = start(guest, UDP_SERVICE % [("10.0.2.100", 81)])
    try:
        client = f"import socket; s = socket.create_connection(('{HOST4}', 7801), 5); print(s.recv(99))"
        assert "10.0.2.100" in lab.user_run(["/usr/bin/python3", "-c", client], namespace=lab.wan, check=True).stdout
        client = f"""import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5)
s.sendto(b'abc', ('{HOST4}', 7802)); print(s.recv(99))"""
        assert "abc" in lab.user_run(["/usr/bin/python3", "-c", client], namespace=lab.wan, check=True).stdout
        ended = one(path, event="ended", protocol="tcp", inbound=True)
        assert (ended["guest_port"], ended["remote_addr"]) == (80, WAN4) and ended["bytes_from_guest"] > 5
        assert one(path, event="opened", protocol="udp", inbound=True)["guest_port"] == 81
        lab.stop(inside, signal.SIGKILL)
        lab.user_run(["/usr/bin/python3", "-c", f"import socket; socket.create_connection(('{HOST4}', 7801), 5).recv(1)"],
                     namespace=lab.wan)
        assert one(path, event="refused", protocol="tcp")["reason"] == "refused by guest"
        guest.close()
        ended = one(path, event="ended", protocol="udp")
        assert (ended["remote_addr"], ended["packets_to_guest"], ended["packets_from_guest"]) == (WAN4, 1, 1)
    finally:
        lab.stop(inside, signal.SIGKILL)
        lab.stop(datagrams, signal.SIGKILL)


@pytest.mark.core
def test_loopback_ports(make_guest, lab, path):
    guest = make_guest("--flow-log", path, "--publish-loopback", "127.0.0.1:7803:80", "--publish-loopback",
                       "udp/127.0.0.1:7804:81")
    services = [start(guest, TCP_SERVICE % [("127.0.0.1", 80)]), start(guest, UDP_SERVICE % [("127.0.0.1", 81)])]
    try:
        assert ask(lab, "127.0.0.1", 7803) == "127.0.0.1"
        assert ask_udp(lab, "127.0.0.1", 7804) == "127.0.0.1"
        ended = one(path, event="ended", protocol="tcp", loopback=True)
        assert ended["inbound"] and ended["remote_addr"] == ended["guest_addr"] == "127.0.0.1"
        assert ended["bytes_from_guest"] == 10 and "packets_from_guest" not in ended
        guest.close()
        assert one(path, event="ended", protocol="udp", loopback=True)["packets_to_guest"] == 1
    finally:
        for service in services:
            lab.stop(service, signal.SIGKILL)


def fetch(guest, url, *options):
    return guest.run(["curl", "-sk", "--noproxy", "*", "-m", "10", *options, url], check=False)


@pytest.mark.core
def test_policy_and_names(servers, make_guest, path):
    guest = make_guest("--dns", DNS4, *RULES, "--check-sni", "--flow-log", path)
    assert fetch(guest, "https://allowed.policy.test/who").returncode == 0
    ended = one(path, event="ended", remote_port=443, reason="finished")
    assert ended["name"] == ended["server_name"] == "allowed.policy.test"
    # Questions, addresses, server names; UDP again and again is one record.
    fetch(guest, "http://denied.policy.test/")
    question = wait_for(lambda: matching(path, protocol="dns", name="denied.policy.test"), 5, "the question")[0]
    assert (question["event"], question["reason"], question["guest_addr"]) == ("refused", "policy", "10.0.2.100")
    fetch(guest, f"http://{DENIED4}/")
    assert one(path, event="refused", protocol="tcp", remote_addr=DENIED4)["reason"] == "policy"
    fetch(guest, "https://other.policy.test/who", "--resolve", f"other.policy.test:443:{SHARED4}")
    ended = one(path, event="ended", server_name="other.policy.test")
    assert ended["reason"] == "policy" and ended["name"] == "allowed.policy.test" and ended["bytes_to_guest"] == 0
    guest.python(f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(20):
    s.sendto(b'x', ('{WAN4}', 7))
""")
    assert one(path, protocol="udp", remote_addr=WAN4)["event"] == "refused"


@pytest.mark.core
def test_server_names_without_a_policy(servers, make_guest, path):
    """Read as they pass; nothing is held back for them."""
    guest = make_guest("--dns", DNS4, "--flow-log", path)
    assert fetch(guest, "https://other.policy.test/who", "--resolve", f"other.policy.test:443:{SHARED4}").returncode == 0
    ended = one(path, event="ended", remote_addr=SHARED4)
    assert ended["server_name"] == "other.policy.test" and "name" not in ended
    # A name that was resolved over TCP counts as well, and one through aliases.
    assert guest.out(["dig", "+tcp", "+short", "www.cdn.test"]).split()[-1] == CDN4
    fetch(guest, f"http://{CDN4}/who")
    assert one(path, event="opened", remote_addr=CDN4)["name"] == "www.cdn.test"
    assert one(path, event="opened", remote_port=53)["forwarder"]


@pytest.mark.core
def test_audit(servers, make_guest, path):
    guest = make_guest("--dns", DNS4, *RULES, "--audit", "--flow-log", path)
    assert fetch(guest, "http://denied.policy.test/who", "-4").stdout.strip() == "denied.policy.test"
    wait_for(lambda: matching(path, event="audited", protocol="dns", name="denied.policy.test"), 5, "the question")
    assert one(path, event="audited", protocol="tcp")["remote_addr"] == DENIED4
    assert one(path, event="ended", protocol="tcp")["reason"] == "finished"


def control(lab, guest, request):
    """The answer to a request at --api-socket."""
    script = f"""
import socket
s = socket.socket(socket.AF_UNIX)
s.connect({str(guest.socket)!r})
s.sendall(b'{request}')
s.shutdown(socket.SHUT_WR)
print(s.makefile().read())
"""
    done = lab.user_run(["/usr/bin/python3", "-c", script])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["return"]


SCAN = f"""
import socket
refused = 0
for port in range(1, 65536):
    with socket.socket() as s:
        s.settimeout(10)
        refused += s.connect_ex(('{FAR4}', port)) == 111
print(refused)
"""


@pytest.mark.release
def test_a_port_scan(make_guest, path):
    """A record for each port or a place in the count of those that are missing; few lines, little memory, no stall."""
    guest = make_guest("--flow-log", path, "--deny", FAR4)
    scan = guest.popen(["/usr/bin/python3", "-c", SCAN], stdout=-1)
    slowest = 0
    while scan.poll() is None:
        out = guest.python(f"""
import socket, time
s = socket.create_connection(('{WAN4}', 7), 10)
slowest = 0
for _ in range(20):
    start = time.monotonic()
    s.sendall(b'x')
    assert s.recv(1) == b'x'
    slowest = max(slowest, time.monotonic() - start)
    time.sleep(0.05)
print(slowest)
""")
        slowest = max(slowest, float(out))
    assert int(scan.stdout.read()) == 65535
    assert slowest < 2

    def told():
        missing = sum(one["count"] for one in records(path) if one["event"] == "dropped")
        return len(matching(path, event="refused", remote_addr=FAR4, reason="policy")) + missing

    wait_for(lambda: told() == 65535, 10, "the last records", every=0.5)
    assert guest.messages().count("policy: refused tcp") <= 1024
    assert "1024 targets were refused; further ones are counted but not named" in guest.messages()
    status = pathlib.Path(f"/proc/{guest.forwarder}/status").read_text()
    most = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])
    assert most < 48 * 1024, f"{most} KiB"


def test_clients_that_a_loopback_port_has_no_room_for(make_guest, lab, path):
    """They have a record each, and not one for each datagram."""
    guest = make_guest("--flow-log", path, "--publish-loopback", "udp/127.0.0.1:7805:81")
    start(guest, UDP_SERVICE % [("127.0.0.1", 81)])
    out = lab.user_run(["/usr/bin/python3", "-c", """
import socket
sockets = []
for number in range(1027):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(10 if number < 1024 else 0.5)
    s.connect(('127.0.0.1', 7805))
    sockets.append(s)
    for _ in range(1 if number < 1024 else 3):
        s.send(b'x')
    try:
        s.recv(100)
        heard = True
    except TimeoutError:
        heard = False
    if heard != (number < 1024): print(number, heard)
print(*(s.getsockname()[1] for s in sockets[1024:]))
"""], timeout=60)
    assert out.returncode == 0, out.stderr
    ports = {int(port) for port in out.stdout.split()}
    assert len(ports) == 3, out.stdout
    wait_for(lambda: len(matching(path, event="refused")) >= 3, 5, "the records")
    refused = matching(path, event="refused")
    assert len(refused) == 3 and {one["remote_port"] for one in refused} == ports
    assert all(one["reason"] == "limit" and one["inbound"] and one["loopback"] and one["protocol"] == "udp" for one in refused)


@pytest.fixture
def fifo(lab):
    path = lab.path("fifo")
    lab.user_run(["mkfifo", "-m", "600", path], check=True)
    return path


@pytest.mark.core
def test_slow_reader(make_guest, lab, fifo):
    """One that takes nothing: traffic goes on as before, what has no place is counted, and a record says how many."""
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        guest_socket = lab.path("api")
        guest = make_guest("--flow-log", fifo, "--api-socket", guest_socket)
        guest.socket = guest_socket
        flood(guest, 18000)
        began = time.monotonic()
        connect(guest, WAN4, 7, 20)
        assert time.monotonic() - began < 10
        wait_for(lambda: control(lab, guest, '{"execute":"statistics"}')["flow_log"]["dropped"] > 0, 10, "records to be dropped")
        text = b""

        def read():
            nonlocal text
            try:
                text += os.read(reader, 1 << 20)
            except BlockingIOError:
                pass
            return b'"event":"dropped"' in text

        wait_for(read, 30, "the record that says so", every=0.002)
        lines = [json.loads(line) for line in text[:text.rindex(b"\n")].splitlines()]
        told = [line for line in lines if line["event"] == "dropped"]
        assert told[0]["count"] > 0 and len(lines) > 8000
        connect(guest, WAN4, 7, 5)
        wait_for(lambda: read() and len(re.findall(rb"\"remote_port\":7[,}]", text)) >= 10, 10, "records as before")
    finally:
        os.close(reader)


@pytest.mark.core
def test_slow_reader_at_the_end(make_guest, lab, fifo):
    """The program does not wait for ever."""
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        guest = make_guest("--flow-log", fifo)
        flood(guest, 1000)
        began = time.monotonic()
        lab.stop(guest.process)
        assert 1 < time.monotonic() - began < 6
        assert "records were lost" in guest.messages()
    finally:
        os.close(reader)


@pytest.mark.core
def test_reader_gone(make_guest, lab, fifo):
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    guest = make_guest("--flow-log", fifo)
    connect(guest, WAN4, 7)
    os.set_blocking(reader, True)
    assert b'"event":"opened"' in os.read(reader, 4096)
    os.close(reader)
    connect(guest, WAN4, 7, 10)
    wait_for(lambda: "its reader has gone" in guest.messages(), 5, "the line that says so")
    connect(guest, WAN4, 7, 10)
    assert guest.process.poll() is None
    assert guest.messages().count("flow log") == 1
    guest.close()
    assert "records were lost" in guest.messages()


@pytest.mark.core
def test_full_disk(make_guest, lab):
    """What does not fit waits, and is written when there is room: no line is broken, none is lost."""
    folder = lab.path("small")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=777", "small", folder], check=True)
    try:
        filler = folder / "filler"
        filler.write_bytes(b"x" * 49152)
        guest = make_guest("--flow-log", folder / "log")
        flood(guest, 500)
        wait_for(lambda: "No space left on device; it is tried again" in guest.messages(), 10, "the complaint")
        connect(guest, WAN4, 7, 5)
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=1m", folder], check=True)
        wait_for(lambda: len(matching(folder / "log", event="ended", remote_port=7)) == 5, 10, "the rest")
        assert len(matching(folder / "log", event="refused", remote_port=81)) == 500
        assert guest.messages().count("No space left") == 1
        guest.close()
        assert "lost" not in guest.messages()
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.core
@pytest.mark.parametrize("threads", ["1", "2"])
def test_nothing_is_lost_at_the_end(make_guest, lab, path, threads):
    """Whichever thread has a flow; those that are open have their end as well."""
    guest = make_guest("--flow-log", path, "--threads", threads)
    connect(guest, WAN4, 7, 200)
    held = guest.popen(["/usr/bin/python3", "-c", f"""
import socket, time
held = [socket.create_connection(('{WAN4}', 7), 5) for _ in range(20)]
print('held', flush=True)
time.sleep(100)
"""], stdout=subprocess.PIPE)
    assert held.stdout.readline() == "held\n"
    lab.stop(guest.process)
    everything = records(path)
    assert [one["event"] for one in everything].count("opened") == 220
    ended = {one["id"]: one["reason"] for one in everything if one["event"] == "ended"}
    assert set(ended) == {one["id"] for one in everything if one["event"] == "opened"}
    assert list(ended.values()).count("finished") == 200 and list(ended.values()).count("program ended") >= 1
    times = [one["time"] for one in everything if one["event"] == "opened"]
    assert times == sorted(times) or threads == "2"
    assert {one["event"] for one in everything} == {"opened", "ended"}
    lab.stop(held, signal.SIGKILL)


@pytest.mark.core
def test_confined(make_guest, path):
    """The thread that writes has the filter, and of the program's descriptors the file and standard error alone."""
    guest = make_guest("--flow-log", path)
    tasks = pathlib.Path(f"/proc/{guest.forwarder}/task")
    wait_for(lambda: "Seccomp:\t2" in (tasks / str(guest.forwarder) / "status").read_text(), 5, "the filter")
    names = {(task / "comm").read_text().strip(): task for task in tasks.iterdir()}
    writers = {fd.name: fd.readlink() for fd in (names["flow-log"] / "fd").iterdir()}
    assert writers.pop("2") and list(writers.values()) == [path], "the writer's descriptors"
    for task in tasks.iterdir():
        status = (task / "status").read_text()
        assert "Seccomp:\t2" in status and "CapEff:\t0000000000000400" in status
    connect(guest, WAN4, 7)
    one(path, event="ended")


def test_descriptor(lab, path):
    """fd:N, and N alone; the command inside does not get it."""
    for form in ("fd:9", "9"):
        script = f'exec {lab.binary} run --flow-log {form} -- sh -c "echo >&9; curl -s -o /dev/null http://{WAN4}/" 9>>{path}'
        done = lab.user_run(["bash", "-c", script])
        assert done.returncode == 0 and "9: Bad file descriptor" in done.stderr, done.stderr
    assert len(matching(path, event="ended", remote_port=80)) == 2


def test_wrong_outputs(lab, path, fifo):
    link = lab.path("link")
    lab.user_run(["ln", "-s", path, link], check=True)
    for value, expected in ((link, "it is a symbolic link"), (fifo, "nobody reads the FIFO"), ("/nowhere/x", "No such file"),
                            ("fd:77", "--flow-log 77: is not open for writing"), ("fd:0", "--flow-log 0: is not open for writing")):
        done = lab.user_run([lab.binary, "run", "--flow-log", value, "--", "echo", "started"], stdin=open("/dev/null", encoding="utf-8"))
        assert done.returncode == 1 and done.stdout == "" and expected in done.stderr, done.stderr
    done = lab.user_run([lab.binary, "run", "--flow-log", "fd:x", "--", "true"])
    assert done.returncode == 2 and "--flow-log 'x'" in done.stderr


def suggest(lab, *words, check=True):
    done = lab.user_run([lab.binary, "policy", "suggest", *words])
    if check:
        assert done.returncode == 0, done.stderr
    return done


WORK = f"""
import socket, subprocess
def curl(url):
    return subprocess.run(['curl', '-sk', '-o', '/dev/null', '--noproxy', '*', '-m', '10', url]).returncode
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.settimeout(5)
udp.sendto(b'x', ('{FAR4}', 7))
print(curl('http://allowed.policy.test/who'), curl('https://allowed.policy.test/who'), curl('http://www.cdn.test/who'),
      *(curl(f'http://host{{n}}.many.test/who') for n in range(1, 7)), curl('http://{WAN4}/'), udp.recv(9) == b'x',
      subprocess.run(['ping', '-c1', '-W3', '{WAN4}'], capture_output=True).returncode)
"""


def test_suggested_policy_lets_the_same_pass(servers, make_guest, lab, path):
    guest = make_guest("--dns", DNS4, "--flow-log", path)
    good = guest.python(WORK)
    assert set(good.split()) == {"0", "True"}
    guest.close()
    policy = lab.path("policy")
    assert suggest(lab, path, "--output", policy).stdout == ""
    text = policy.read_text()
    for rule in ('  "allow tcp/allowed.policy.test:80,443",\n', '  "allow tcp/www.cdn.test:80",\n', '  "allow tcp/host6.many.test:80",\n',
                 f'  "allow udp/{FAR4}:7",\n', f'  "allow tcp/{WAN4}:80",\n', f'  "allow icmp/{WAN4}",\n'):
        assert rule in text, text
    assert text.startswith("# Suggested by slirp-forwarder policy suggest") and 'default = "deny"\n' in text
    assert MANY4 not in text, "names, not addresses"
    guest = make_guest("--dns", DNS4, "--policy", policy, "--check-sni")
    assert guest.python(WORK) == good
    assert guest.run(["curl", "-s", "http://other.policy.test/who"], check=False).returncode == 6
    assert guest.run(["curl", "-s", f"http://{FAR4}/"], check=False).returncode == 7
    assert "exists" in suggest(lab, path, "--output", policy, check=False).stderr.replace("File exists", "exists")


def test_suggested_policy_lists_what_was_refused(servers, make_guest, lab, path):
    guest = make_guest("--dns", DNS4, *RULES, "--audit", "--flow-log", path)
    fetch(guest, "http://denied.policy.test/who", "-4")
    fetch(guest, "http://allowed.policy.test/who", "-4")
    guest.close()
    text = suggest(lab, path).stdout
    assert '\n  "allow tcp/allowed.policy.test:80",\n' in text
    assert f'# would be refused 1 time: tcp {DENIED4}:80 (denied.policy.test) (policy)\n  # "allow tcp/denied.policy.test:80",\n' in text
    assert "the DNS question for denied.policy.test" in text and '\n  "allow tcp/denied' not in text


def test_suggest_complains(lab, path):
    path.write_text('{"time":"x","event":"opened"}\n')
    path.chmod(0o644)
    done = suggest(lab, path, check=False)
    assert done.returncode == 1 and done.stdout == "" and done.stderr == f"slirp-forwarder: {path}:1: expected protocol, not 'nothing'\n"
    done = suggest(lab, "/nowhere/x", check=False)
    assert done.returncode == 1 and "/nowhere/x" in done.stderr
    assert suggest(lab, check=False).returncode == 2
