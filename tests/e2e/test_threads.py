"""--threads: several shards, each with a queue of the TAP. What is the same with one thread, the other files test:
`make test-e2e-threads` runs all of them with two."""

import json
import os
import pathlib
import re
import socket
import subprocess

import pytest

from lab.guest import Guest, GuestError, wait_for
from lab.network import HOST4, WAN4, WAN4_SECOND, WAN6

pytestmark = pytest.mark.skipif("--threads" in os.environ.get("SF_TEST_OPTIONS", ""), reason="gives --threads itself")


def shard_threads(guest):
    """CPU time of each thread that moves packets, in clock ticks, by thread id."""
    times = {}
    for task in pathlib.Path(f"/proc/{guest.forwarder}/task").iterdir():
        name, fields = re.match(r"\d+ \((.*)\) (.*)", (task / "stat").read_text()).groups()
        if name == "shard":
            times[task.name] = sum(int(number) for number in fields.split()[11:13])
    return times


def queues(guest):
    return re.search(r"numqueues (\d+)", guest.out("ip -d link show tap0"))


def test_each_thread_has_a_queue(make_guest):
    guest = make_guest("--threads", "4")
    wait_for(lambda: len(shard_threads(guest)) == 4, what="threads with their names")
    assert queues(guest)[1] == "4"


def test_one_thread_is_one_process_as_ever(make_guest):
    guest = make_guest("--threads", "1")
    assert len(list(pathlib.Path(f"/proc/{guest.forwarder}/task").iterdir())) == 1
    assert queues(guest) is None


def test_the_default_follows_the_cpus(lab, make_guest):
    guest = make_guest()
    cpus = len(os.sched_getaffinity(0))
    assert len(shard_threads(guest)) == (0 if cpus <= 2 else min(cpus, 4))
    program = ["taskset", "-c", str(min(os.sched_getaffinity(0))), lab.binary, "run"]
    with Guest(lab, program=program) as alone:
        assert not shard_threads(alone)


@pytest.mark.core
def test_flows_spread_over_the_threads(make_guest):
    guest = make_guest("--threads", "4")
    guest.run(["iperf3", "-c", WAN4, "-P", "16", "-t", "2"], timeout=60)
    guest.run(["iperf3", "-c", WAN6, "-P", "16", "-t", "2", "-R"], timeout=60)
    busy = [ticks for ticks in shard_threads(guest).values() if ticks >= 5]
    assert len(busy) == 4, shard_threads(guest)


@pytest.mark.core
def test_many_connections_at_once(make_guest):
    guest = make_guest("--threads", "4")
    for host in (WAN4, f"[{WAN6}]"):
        out = guest.out(f"seq 400 | xargs -P 40 -I@ curl -s -m 20 -o /dev/null -w '%{{http_code}}\\n' http://{host}/")
        assert out.split() == ["200"] * 400


def test_a_connection_that_was_silent(make_guest):
    """After some seconds the guest's kernel has forgotten which queue its flow belongs to."""
    guest = make_guest("--threads", "4")
    script = f"""
import socket, time
flows = [socket.create_connection(('{WAN4}', 7), timeout=10) for _ in range(12)]
for round in range(2):
    for number, flow in enumerate(flows):
        flow.sendall(b'%d:%d' % (round, number) + b'x' * 3000)
    for number, flow in enumerate(flows):
        got = b''
        while len(got) < 3000 + len(b'%d:%d' % (round, number)):
            got += flow.recv(65536)
        assert got.startswith(b'%d:%d' % (round, number))
    time.sleep(5)
print('done')
"""
    assert guest.python(script, timeout=60) == "done\n"


@pytest.mark.core
def test_one_port_of_the_guest_is_one_port_outside(lab, make_guest):
    """Endpoint-independent mapping: whichever queues the datagrams of one socket come by."""
    guest = make_guest("--threads", "4")
    server = """
import socket
socks = []
for port in range(7300, 7332):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('0.0.0.0', port))
    s.settimeout(10)
    socks.append(s)
print('ready', flush=True)
ports = {}
for s in socks:
    for _ in range(2):
        text, peer = s.recvfrom(100)
        ports.setdefault(text, set()).add(peer[1])
print(sorted(len(seen) for seen in ports.values()), len({p for seen in ports.values() for p in seen}))
"""
    process = lab.popen(lab.wan.command(["/usr/bin/python3", "-c", server]), stdout=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    guest.python(f"""
import socket
socks = []
for name in (b'a', b'b', b'c', b'd'):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('', 0))
    socks.append((name, s))
for port in range(7300, 7332):
    for name, s in socks[(port % 2) * 2:][:2]:
        s.sendto(name, (('{WAN4}', '{WAN4_SECOND}')[port % 2], port))
""")
    assert process.stdout.readline() == "[1, 1, 1, 1] 4\n"
    lab.stop(process)


@pytest.mark.core
def test_published_ports(lab, make_guest):
    """Clients are spread over the threads, and the guest sees each as it is."""
    guest = make_guest("--threads", "4", "-p", "8080:80", "-p", "udp/5300:5300")
    server = guest.popen(["/usr/bin/python3", "-c", """
import socket, threading
listener = socket.create_server(('', 80), backlog=200)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(('', 5300))
def echo():
    while True:
        text, peer = udp.recvfrom(2000)
        udp.sendto(text + b' %d' % peer[1], peer)
threading.Thread(target=echo, daemon=True).start()
print('ready', flush=True)
while True:
    s, peer = listener.accept()
    s.sendall(b'%s %d' % (peer[0].encode(), peer[1]))
    s.close()
"""], stdout=subprocess.PIPE)
    assert server.stdout.readline() == "ready\n"
    client = f"""
import socket
for i in range(100):
    s = socket.create_connection(('{HOST4}', 8080), timeout=10)
    own = s.getsockname()
    seen = b''
    while part := s.recv(100):
        seen += part
    assert seen == b'%s %d' % (own[0].encode(), own[1]), seen
    s.close()
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(5)
    s.connect(('{HOST4}', 5300))
    s.send(b'hello')
    assert s.recv(100) == b'hello %d' % s.getsockname()[1]
print('done')
"""
    done = subprocess.run(lab.wan.command(["/usr/bin/python3", "-c", client]), capture_output=True, text=True, timeout=90,
                          check=False)
    assert done.stdout == "done\n", done.stderr
    lab.stop(server)


def test_a_port_that_another_has_is_refused(lab, make_guest):
    """Threads share a port among themselves, and with nobody else."""
    make_guest("--threads", "2", "-p", "8081:80")
    with pytest.raises(GuestError, match="8081.*in use|8081.*already"):
        make_guest("--threads", "2", "-p", "8081:80")


@pytest.mark.core
def test_control_sees_all_threads(lab, make_guest):
    api = lab.path("api")
    guest = make_guest("--threads", "4", "--api-socket", api)
    holder = guest.popen(["/usr/bin/python3", "-c", f"""
import socket, time
flows = [socket.create_connection(('{WAN4}', 7)) for _ in range(32)]
udp = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
for s in udp:
    s.sendto(b'x', ('{WAN4}', 7))
print('ready', flush=True)
time.sleep(60)
"""], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == "ready\n"

    def ask(text):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(api))
            s.sendall(text.encode())
            s.shutdown(socket.SHUT_WR)
            reply = b""
            while part := s.recv(65536):
                reply += part
        answer = json.loads(reply)
        assert "return" in answer, f"{answer} to {text}: {lab.host.run(['ss', '-Htuanp'], stdout=subprocess.PIPE).stdout}"
        return answer["return"]

    wait_for(lambda: ask('{"execute":"list_flows"}')["total"] == 40, what="the last datagram's flow")
    flows = ask('{"execute":"list_flows"}')
    assert len(flows["flows"]) == 40
    assert all(flow["remote_rtt_us"] is not None for flow in flows["flows"] if flow["protocol"] == "tcp")
    assert len(ask('{"execute":"list_flows","arguments":{"limit":5}}')["flows"]) == 5
    assert ask('{"execute":"statistics"}')["tcp_opened"] == 32
    for port in ("tcp/8090:80", "udp/8090:80"):
        (published,) = ask('{"execute":"publish","arguments":{"port":"%s"}}' % port)["ports"]
        assert published["port"] == port
        assert ask('{"execute":"unpublish","arguments":{"port":"%s"}}' % port)["ports"]
    assert ask('{"execute":"publish","arguments":{"port":"8090:80"}}')["ports"], "free again, by every thread"
    lab.stop(holder)


def test_a_tap_with_a_single_queue(lab, make_guest):
    """Made by somebody else: one thread, and one line."""
    guest = make_guest("--no-ipv6", "--threads", "1")
    guest.run("ip tuntap add tap7 mode tap && ip addr add 10.9.0.100/24 dev tap7 && ip link set tap7 up")
    log = lab.path("attach-log")
    with open(log, "w", encoding="utf-8") as out:
        attached = lab.user_popen([lab.binary, "attach", "--threads", "4", "--cidr", "10.9.0.0/24", str(guest.pid), "tap7"],
                                  stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    wait_for(lambda: guest.run("ping -c 1 -W 1 10.9.0.2", check=False).returncode == 0, 15, "the gateway")
    said = [line for line in pathlib.Path(log).read_text(encoding="utf-8").splitlines() if "single queue" in line]
    assert said == ["slirp-forwarder: --threads 4: 'tap7' has a single queue, so one thread moves all packets"]
    assert len(list(pathlib.Path(f"/proc/{attached.pid}/task").iterdir())) == 1
    lab.stop(attached)


def test_the_end(lab, make_guest):
    """Of a command, by a signal, and with the namespace."""
    done = lab.user_run([lab.binary, "run", "--threads", "4", "--", "sh", "-c", "exit 7"])
    assert done.returncode == 7
    holder = lab.user_popen(["unshare", "-rn", "sh", "-c", "echo $$; exec sleep 60"], stdout=subprocess.PIPE)
    pid = holder.stdout.readline().strip()
    wait_for(lambda: os.readlink(f"/proc/{pid}/exe").endswith("sleep"), what="the holder")
    attached = lab.user_popen([lab.binary, "attach", "--configure", "--threads", "4", pid])
    wait_for(lambda: len(list(pathlib.Path(f"/proc/{attached.pid}/task").iterdir())) == 5, what="the threads")
    lab.stop(holder)
    assert attached.wait(10) == 0
    lab.stop(attached)


@pytest.mark.core
def test_a_recording_has_the_frames_of_all_threads(lab, make_guest):
    path = lab.path("threads-pcapng")
    guest = make_guest("--threads", "4", "--pcap", path)
    guest.run(f"seq 40 | xargs -P 10 -I@ curl -s -o /dev/null http://{WAN4}/")
    guest.close()
    out = subprocess.run(["tcpdump", "-r", str(path), "-n", "tcp[tcpflags] == tcp-syn"], capture_output=True, text=True,
                         check=False)
    assert len(out.stdout.splitlines()) == 40, out.stderr


def test_threads_that_let_go_of_much_memory(lab):
    """glibc trims a thread's own heap by a file of /proc, which a confined process may not open: there is one heap."""
    script = f"""
import socket, sys, time
sockets = []
for _ in range(4000):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(b"x", ({WAN4!r}, 9))
    sockets.append(s)
time.sleep(0.5)
sys.exit(7)
"""
    done = lab.user_run([lab.binary, "run", "--threads", "4", "--", "sh", "-c", "ulimit -n 8192; exec /usr/bin/python3 -c \"$0\"", script],
                        timeout=60)
    assert done.returncode == 7, done.stderr
