"""ls, port and flows: running instances are found, their ports changed under traffic, their flows shown."""

import json
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from lab import world
from lab.guest import said, wait_for
from lab.network import FAR4, HOST4, SLOW4, WAN4


@pytest.fixture
def runtime(lab):
    """A runtime directory of the test's own, so that no other test's guests are in the lists."""
    path = lab.path("runtime")
    done = lab.user_run(["mkdir", "-m", "700", path])
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture
def command(lab, runtime):
    """command("ls", …) -> what a good one prints; command.refused(…) -> the one line of a bad one."""

    class Command:
        directory = runtime / "slirp-forwarder"

        def run(self, *words, timeout=30, **options):
            return lab.user_run([lab.binary, *words], env={"XDG_RUNTIME_DIR": str(runtime)}, timeout=timeout, **options)

        def __call__(self, *words):
            done = self.run(*words)
            assert done.returncode == 0 and not done.stderr, done.stderr
            return done.stdout

        def json(self, *words):
            return json.loads(self(*words, "--json"))

        def refused(self, *words, status=1):
            done = self.run(*words)
            assert done.returncode == status and not done.stdout, (done.returncode, done.stdout)
            (line,) = said(done)
            assert line.startswith("slirp-forwarder: ")
            return line

    return Command()


@pytest.fixture
def listed(make_guest, runtime):
    """listed(*options) -> a guest that is found in the test's own runtime directory."""
    return lambda *options, **more: make_guest(*options, env={"XDG_RUNTIME_DIR": str(runtime)}, **more)


ECHO_SERVER = """
import socketserver, socket
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 1000
server = Server(('0.0.0.0', 80), Echo)
print('listening', flush=True)
server.serve_forever()
"""


@pytest.fixture
def echoing(lab, listed):
    """A guest with an echo server on its port 80."""
    servers = []

    def make(*options):
        guest = listed(*options)
        servers.append(guest.popen(["/usr/bin/python3", "-c", ECHO_SERVER], stdout=subprocess.PIPE, text=True))
        assert servers[-1].stdout.readline() == "listening\n"
        return guest

    yield make
    for server in servers:
        lab.stop(server)


ECHO_CLIENT = """
import socket, sys
s = socket.create_connection(({address!r}, {port}), 10)
s.sendall(b'hello')
print(s.recv(5).decode())
"""


def echo(lab, port, address=HOST4):
    """Asked from wan, so that no client in `host` has one of the ports there that are to be published."""
    namespace = lab.host if address == "127.0.0.1" else lab.wan
    done = lab.user_run(["/usr/bin/python3", "-c", ECHO_CLIENT.format(address=address, port=port)], namespace=namespace)
    return done.stdout.strip() if done.returncode == 0 else done.stderr.splitlines()[-1]


# --- ls


def test_ls_shows_what_runs_and_nothing_else(lab, command, listed):
    assert command("ls") == ""
    assert command.json("ls") == {"instances": [], "unanswered": []}
    first = listed("-p", "8080:80", "-p", "udp/127.0.0.1:5300-5302:53-55")
    second = listed("--no-ipv6", "--cidr", "10.7.0.0/24")
    header, *rows = command("ls").splitlines()
    assert header.split() == ["PID", "UPTIME", "GUEST", "FLOWS", "FROM", "GUEST", "TO", "GUEST", "PORTS", "TARGET"]
    rows = {int(row.split()[0]): row for row in rows}
    assert set(rows) == {first.forwarder, second.forwarder}
    assert re.search(r" +\d+s  10\.0\.2\.100 fd00::100 +\d+ .* tcp/8080:80, udp/127\.0\.0\.1:5300-5302:53-55  sh -c ",
                     rows[first.forwarder]), rows
    assert re.search(r" +\d+s  10\.7\.0\.100 +\d+ .* -  +sh -c ", rows[second.forwarder]), rows

    first.run(["curl", "-sf", f"http://{WAN4}/"])
    one, two = sorted(command.json("ls")["instances"], key=lambda it: it["pid"] != first.forwarder)
    assert (one["guest4"], one["guest6"], two["guest4"], two["guest6"]) == ("10.0.2.100", "fd00::100", "10.7.0.100", None)
    assert [port["port"] for port in one["ports"]] == ["tcp/8080:80", *(f"udp/127.0.0.1:{5300 + n}:{53 + n}" for n in range(3))]
    assert one["bytes_from_guest"] > 50 and one["bytes_to_guest"] > 50 and two["bytes_to_guest"] == 0
    assert one["uptime_s"] >= 0 and one["version"] and pathlib.Path(one["socket"]).name == f"{one['pid']}.sock"

    second.close()
    assert [it["pid"] for it in command.json("ls")["instances"]] == [first.forwarder]


def test_ls_shows_attached_ones_by_their_target(lab, command, runtime):
    holder = lab.user_popen(["unshare", "-rn", "sh", "-c", "echo up; exec sleep 60"], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == "up\n"
    pid = int(lab.user_run(["pgrep", "-u", "sftest", "-nx", "sleep"]).stdout)
    attached = lab.user_popen([lab.binary, "attach", "--configure", str(pid)], env={"XDG_RUNTIME_DIR": str(runtime)})
    try:
        (one,) = wait_for(lambda: command.json("ls")["instances"], 10, "the attached one in the list")
        assert one["target"] == str(pid)
    finally:
        lab.stop(attached)
        lab.stop(holder)


@pytest.mark.core
def test_targets_cannot_act_on_the_terminal(lab, command, runtime):
    process = lab.user_popen([lab.binary, "run", "--", "sh", "-c", "exec sleep 60 # \x1b[2J\n\x9b \u202e"],
                             env={"XDG_RUNTIME_DIR": str(runtime)})
    try:
        wait_for(lambda: command("ls"), 10, "the instance in the list")
        for words in (["ls"], ["ls", "--json"]):
            shown = command(*words)
            assert shown.isascii() and all(character >= " " or character == "\n" for character in shown), repr(shown)
        assert r"exec sleep 60 # \x1b[2J\x0a" in command("ls")
        assert "\x1b[2J" in command.json("ls")["instances"][0]["target"]
    finally:
        lab.stop(process)


@pytest.mark.core
def test_one_that_is_stopped_delays_no_other(lab, command, listed):
    good, stopped = listed(), listed()
    stopped.process.send_signal(signal.SIGSTOP)
    try:
        start = time.monotonic()
        done = command.run("ls")
        assert time.monotonic() - start < 10
        assert done.returncode == 1
        (line,) = said(done)
        assert f"{stopped.forwarder}.sock" in line and "does not answer" in line
        assert [row.split()[0] for row in done.stdout.splitlines()[1:]] == [str(good.forwarder)]
        document = json.loads(command.run("ls", "--json").stdout)
        assert [it["pid"] for it in document["instances"]] == [good.forwarder]
        assert [it["pid"] for it in document["unanswered"]] == [stopped.forwarder]
        for words in (["port", "ls"], ["port", "add"], ["port", "rm"], ["flows"]):
            rules = ["8080"] if words[-1] in ("add", "rm") else []
            assert "does not answer" in command.refused(*words, str(stopped.forwarder), *rules)
    finally:
        stopped.process.send_signal(signal.SIGCONT)
    # What was said to have failed is not done later on.
    assert command("port", "ls", str(stopped.forwarder)) == ""
    assert len(command.json("ls")["instances"]) == 2


@pytest.mark.core
def test_what_a_killed_one_left_is_cleared_away(lab, command, listed):
    guest = listed()
    left = command.directory / f"{guest.forwarder}.sock"
    assert left.is_socket()
    guest.process.kill()
    guest.process.wait()
    assert left.exists()
    assert command("ls") == ""
    assert not left.exists()


def test_many_and_some_that_end_meanwhile(lab, command, runtime, sanitized):
    count = 8 if sanitized else 40
    processes = [lab.user_popen([lab.binary, "run", "--no-ipv6", "--", "sleep", "60"], env={"XDG_RUNTIME_DIR": str(runtime)},
                                stderr=subprocess.DEVNULL) for _ in range(count)]
    try:
        wait_for(lambda: len(command.json("ls")["instances"]) == count, 60, "all of them")
        pids = [it["pid"] for it in command.json("ls")["instances"]]
        assert pids == sorted(pids) == sorted(process.pid for process in processes)
        half = processes[: count // 2]

        def end():
            for process in half:
                process.terminate()

        ending = threading.Thread(target=end)
        ending.start()
        for _ in range(10):
            command("ls")  # no complaint about those that have gone between being found and being asked
        ending.join()
        for process in half:
            process.wait(30)
        assert len(command.json("ls")["instances"]) == count - len(half)
    finally:
        for process in processes:
            lab.stop(process)


def test_without_a_runtime_directory(lab, listed):
    done = lab.user_run(["env", "-u", "XDG_RUNTIME_DIR", lab.binary, "ls"])
    assert done.returncode == 1
    (line,) = said(done)
    assert "XDG_RUNTIME_DIR" in line


# --- port


@pytest.mark.core
def test_ports_at_run_time(lab, command, echoing):
    guest = echoing()
    name = str(guest.forwarder)
    assert command("port", "ls") == ""
    (rule,) = command("port", "add", name, "127.0.0.1:0:80").splitlines()
    port = int(re.fullmatch(r"tcp/127\.0\.0\.1:(\d+):80", rule)[1])
    assert port > 0
    assert echo(lab, port, "127.0.0.1") == "hello"
    header, row = command("port", "ls", name).splitlines()
    assert header.split() == ["ID", "PROTO", "HOST", "GUEST", "ACCEPTED"]
    assert row.split() == ["1", "tcp", f"127.0.0.1:{port}", "80", "1"]
    (entry,) = command.json("port", "ls", name)["ports"]
    assert (entry["id"], entry["host_port"], entry["guest_port"], entry["accepted"]) == (1, port, 80, 1)
    assert command("port", "rm", name, f"127.0.0.1:{port}") == rule + "\n"
    assert "ConnectionRefusedError" in echo(lab, port, "127.0.0.1")

    ports = command.json("port", "add", name, "8000-8002:80-82", "udp/[::1]:0:53")["ports"]
    assert [it["port"] for it in ports[:3]] == [f"tcp/{8000 + n}:{80 + n}" for n in range(3)]
    assert re.fullmatch(r"udp/\[::1\]:\d+:53", ports[3]["port"])
    assert echo(lab, 8000) == "hello"
    assert command.json("port", "rm", name, str(ports[3]["id"]), "8001-8002", "8000:80")["ports"] == [ports[3], *ports[1:3], {**ports[0], "accepted": 1}]
    assert command("port", "ls", name) == ""


def test_a_port_to_the_guests_loopback(lab, command, listed):
    guest = listed()
    name = str(guest.forwarder)
    server = guest.popen(["/usr/bin/python3", "-c", ECHO_SERVER.replace("0.0.0.0", "127.0.0.1")], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout.readline() == "listening\n"
        command("port", "add", name, "8080:80")
        assert echo(lab, 8080) != "hello"  # that leads to the address outside of the loopback
        command("port", "rm", name, "8080")
        (entry,) = command.json("port", "add", "--loopback", name, "8080:80")["ports"]
        assert entry["loopback"] is True
        assert echo(lab, 8080) == "hello"
        assert re.search(r" \*:8080 +80 \(loopback\) ", command("port", "ls", name))
        assert command("port", "rm", name, "8080")
        assert command("port", "ls", name) == ""
    finally:
        lab.stop(server)


@pytest.mark.core
def test_connections_live_on_and_others_go_on(lab, command, echoing):
    guest = echoing("-p", "8080:80")
    code = f"""
import socket, sys
s = socket.create_connection(('{HOST4}', 8080), 10)
for line in sys.stdin:
    s.sendall(b'hello')
    print(s.recv(5).decode(), flush=True)
"""
    client = lab.user_popen(["/usr/bin/python3", "-c", code], namespace=lab.wan, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        def ask():
            client.stdin.write("\n")
            client.stdin.flush()
            return client.stdout.readline()

        assert ask() == "hello\n"
        command("port", "rm", str(guest.forwarder), "8080")
        assert "ConnectionRefusedError" in echo(lab, 8080)
        assert ask() == "hello\n"
        command("port", "add", str(guest.forwarder), "8080:80")
        assert echo(lab, 8080) == "hello"
        assert ask() == "hello\n"
    finally:
        lab.stop(client)


@pytest.mark.core
def test_add_and_remove_under_load(lab, command, echoing, sanitized):
    """A port comes and goes while clients use another one: none of those is disturbed."""
    guest = echoing("-p", "8080:80")
    code = f"""
import socket, threading, time
bad = []
def use(end):
    while time.monotonic() < end:
        with socket.create_connection(('{HOST4}', 8080), 20) as s:
            message = b'x' * 20000
            s.sendall(message)
            got = 0
            while got < len(message):
                got += len(s.recv(65536)) or bad.append('cut') or len(message)
end = time.monotonic() + 6
threads = [threading.Thread(target=use, args=(end,)) for _ in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
print(len(bad))
"""
    clients = lab.user_popen(["/usr/bin/python3", "-c", code], namespace=lab.wan, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        rounds = 0
        while clients.poll() is None and rounds < 500:
            assert command("port", "add", str(guest.forwarder), "9000-9099:80-179")
            assert echo(lab, 9000) == "hello"
            assert command("port", "rm", str(guest.forwarder), "9000-9099")
            rounds += 1
        out, errors = clients.communicate(timeout=30)
        assert out.strip() == "0", errors
        assert rounds >= (1 if sanitized else 5)
        assert [it["port"] for it in command.json("port", "ls")["ports"]] == ["tcp/8080:80"]
    finally:
        lab.stop(clients)


def test_all_of_the_rules_or_none(lab, command, listed):
    guest = listed("-p", "8070:80")
    name = str(guest.forwarder)
    taken = command.refused("port", "add", name, "8071-8079:80-88", "8069-8070:80-81")
    assert "TCP port 8070" in taken and "in use" in taken and "another port" in taken
    low = command.refused("port", "add", name, "8071:80", "udp/81")
    assert "UDP port 81" in low and "net.ipv4.ip_unprivileged_port_start=81" in low
    assert "203.0.113.77" in command.refused("port", "add", name, "8071:80", "203.0.113.77:8080")
    malformed = command.refused("port", "add", name, "8071:80", "80:x")
    assert "'x' is not a port" in malformed and "the form is" in malformed
    assert "8071 is not published" in command.refused("port", "rm", name, "8070", "8071")
    assert "but tcp/8070:80 is" in command.refused("port", "rm", name, "8070:81")
    assert [it["port"] for it in command.json("port", "ls", name)["ports"]] == ["tcp/8070:80"]
    assert "ConnectionRefusedError" in echo(lab, 8071)


# --- flows


@pytest.mark.parametrize("reverse", [False, True], ids=["to the wan", "from the wan"])
def test_flows_of_a_live_transfer(lab, command, listed, reverse):
    guest = listed()
    transfer = guest.popen(["iperf3", "-c", WAN4, "-t", "30", *(["-R"] if reverse else [])], stdout=subprocess.DEVNULL)
    try:
        def busy():
            flows = command.json("flows", "--interval", "0.5")
            rate = "rate_to_guest" if reverse else "rate_from_guest"
            return flows if flows["flows"] and (flows["flows"][0][rate] or 0) > 1 << 20 else None

        flows = wait_for(busy, 20, "a busy flow")
        first, second = flows["flows"]  # iperf3 has another one to control it
        assert flows["total"] == 2 and 400_000 < flows["interval_us"] < 5_000_000
        assert (first["protocol"], first["guest_addr"], first["remote_addr"], first["remote_port"], first["inbound"]) == (
            "tcp", "10.0.2.100", WAN4, 5201, False)
        assert first["state"] == second["state"] == "ESTABLISHED"
        assert second["rate_from_guest"] + second["rate_to_guest"] < 1 << 20
        assert first["bytes_to_guest" if reverse else "bytes_from_guest"] > first["rate_to_guest" if reverse else "rate_from_guest"] / 4
        assert 0 < first["remote_rtt_us"] < 1_000_000
        # What we send to the guest is what the round trip to it is measured with.
        assert 0 < (first if reverse else second)["rtt_us"] < 1_000_000
        header, row, _ = command("flows", str(guest.forwarder)).splitlines()
        assert header.split()[:5] == ["PROTO", "GUEST", "REMOTE", "STATE", "RTT"]
        assert re.match(rf"tcp +10\.0\.2\.100:\d+  ->  {WAN4}:5201 +ESTABLISHED .* [\d.]+ [MG]iB/s ", row), row
        *_, last = command("flows", "--limit", "1").splitlines()
        assert last == "1 of 2 flows"
        assert len(command.json("flows", "--limit", "1")["flows"]) == 1
    finally:
        lab.stop(transfer)


@pytest.mark.core
def test_flows_of_every_kind(lab, command, echoing):
    guest = echoing("-p", "8080:80")
    code = f"""
import socket, sys, time
t = socket.create_connection(('{HOST4}', 8080), 10)
t.sendall(b'hello'); t.recv(5)
print(t.getsockname()[1], flush=True)
sys.stdin.read()
"""
    client = lab.user_popen(["/usr/bin/python3", "-c", code], namespace=lab.wan, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        port = int(client.stdout.readline())
        guest.python(f"import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 5000)); s.sendto(b'x' * 100, ('{FAR4}', 9))")
        guest.run(["ping", "-c", "1", WAN4])
        flows = {(it["protocol"], it["inbound"]): it for it in command.json("flows", "--interval", "0.1")["flows"]}
        tcp = flows["tcp", True]
        assert (tcp["guest_port"], tcp["remote_addr"], tcp["remote_port"]) == (80, WAN4, port)
        assert (tcp["bytes_from_guest"], tcp["bytes_to_guest"]) == (5, 5)
        udp = flows["udp", False]
        assert (udp["guest_port"], udp["remote_addr"], udp["bytes_from_guest"], udp["state"], udp["rtt_us"]) == (5000, "", 100, "", None)
        assert ("icmp", False) in flows
        rows = command("flows").splitlines()
        assert any(re.match(rf"tcp +10\.0\.2\.100:80 +<-  {WAN4}:{port} ", row) for row in rows), rows
        assert any(re.match(r"udp +10\.0\.2\.100:5000 +->  \* +- ", row) for row in rows), rows
    finally:
        client.stdin.close()
        lab.stop(client)


def test_the_round_trip_is_that_of_the_path(lab, command, listed):
    guest = listed()
    transfer = guest.popen(["iperf3", "-c", SLOW4, "-t", "30"], stdout=subprocess.DEVNULL)
    try:
        def measured():
            flows = command.json("flows", "--interval", "0.1")["flows"]
            return flows if len(flows) == 2 and all(it["remote_rtt_us"] for it in flows) else None

        for flow in wait_for(measured, 20, "both flows of iperf3"):
            assert flow["remote_rtt_us"] >= 39_000  # the delay line is 20 ms long
            assert (flow["rtt_us"] or 0) < 39_000
    finally:
        lab.stop(transfer)


# --- which instance


def test_the_instance_that_is_meant(lab, command, listed):
    assert "no instance is running" in command.refused("flows")
    first = listed("--api-socket", lab.path("api"))
    command("port", "add", str(first.forwarder), "8080:80")
    assert "tcp/8080:80" in command("port", "ls", "--json")
    assert "tcp/8080:80" in command("port", "ls", "--json", str(first.forwarder)[:-1])  # the beginning will do
    for path in (command.directory / f"{first.forwarder}.sock", first.options[1]):
        assert "tcp/8080:80" in command("port", "ls", "--json", path)
    second = listed()
    assert "2 instances are running" in command.refused("port", "ls")
    assert command("port", "ls", str(second.forwarder)) == ""
    assert "no instance has the pid 4194305" in command.refused("flows", "4194305")
    assert "'x': is neither" in command.refused("flows", "x")
    assert "No such file" in command.refused("flows", "/nowhere/at-all")


def test_another_users_instance(lab, command, listed):
    guest = listed("--api-socket", lab.path("api"))
    path = guest.options[1]
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    if world.mapped_ids() <= 65534:
        pytest.skip("there is no second user id in this world")
    done = subprocess.run([*nobody, str(lab.binary), "port", "ls", str(path)], capture_output=True, text=True, timeout=30,
                          env=lab.user_environment(), check=False)
    assert done.returncode == 1
    (line,) = said(done)
    assert "Permission denied" in line and "only the user that started the instance" in line


@pytest.mark.parametrize("words, part", [
    (["ls", "x"], "one word too many"),
    (["ls", "--all"], "not an option here"),
    (["port"], "port add INSTANCE"),
    (["port", "add", "1"], "RULE is missing"),
    (["flows", "--interval", "0"], "0.1 to 3600"),
    (["flows", "--limit", "many"], "1 to 2048"),
], ids=lambda it: "-".join(it) if isinstance(it, list) else "")
def test_wrong_words(command, words, part):
    assert part in command.refused(*words, status=2)


@pytest.mark.core
@pytest.mark.parametrize("reply, part", [
    (b"", "closed without a word"),
    (b"HTTP/1.0 400 Bad Request\r\n\r\n\x1b[2J", "is it another program"),
    (b'{"return":{"ports":[' * 1000, "is it another program"),
    (b"[" * (1 << 20), "is it another program"),
    (b'{"error":{"desc":"\\u001b[2J\\n"}}', "refuses: \\x1b[2J\\x0a"),
    (b"x" * (34 << 20), "its reply does not end"),
], ids=["nothing", "http", "cut off", "deep", "escapes", "huge"])
def test_a_stranger_at_the_path(lab, command, reply, part):
    path = lab.path("stranger")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o777)
        listener.listen(16)

        def serve():
            with listener.accept()[0] as client:
                try:
                    client.recv(65536)
                    client.sendall(reply)
                except OSError:
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            line = command.refused("port", "ls", path)
        finally:
            thread.join()
        assert part in line and "\x1b" not in line
