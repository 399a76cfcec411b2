"""--publish-loopback: services that listen on 127.0.0.1 or ::1 inside, reached from the host."""

import json
import os
import pathlib
import signal
import socket
import time

import pytest

from lab import world
from lab.guest import children, only_child, wait_for
from loopback import TCP_SERVICE, UDP_SERVICE, ask, ask_udp, client, python, start
from test_attach import Container, attach, container  # noqa: F401
from test_seed_form import session  # noqa: F401
import test_seed_form

LOOPBACKS = pytest.mark.parametrize("address", ["127.0.0.1", "::1"], ids=["v4", "v6"])


class InContainer:
    def __init__(self, lab, container, process):
        self.lab, self.container, self.process = lab, container, process

    def popen(self, argv, **options):
        enter = self.lab.enter_as_root(self.container.pid, "user", "mount", "net")
        return self.lab.popen([*enter, *argv], env=self.lab.user_environment(), **options)


class InSession:
    def __init__(self, session, process):
        self.session, self.process = session, process

    def popen(self, argv, **options):
        return self.session.popen(["nsenter", "--net=net", *argv], **options)


@pytest.fixture
def services(lab):
    """services(inside, code) starts one that ends with the test."""
    started = []

    def make(inside, code):
        started.append(start(inside, code))
        return started[-1]

    yield make
    for process in started:
        lab.stop(process, signal.SIGKILL)


def both(port=80):
    return [("127.0.0.1", port), ("::1", port)]


@pytest.mark.core
@pytest.mark.parametrize("way", ["run", "attach", "path"])
def test_reached_over_both_ip_versions(lab, request, make_guest, services, way):
    options = ["--publish-loopback", "8080:80"]
    if way == "run":
        inside = make_guest(*options)
    elif way == "attach":
        it = request.getfixturevalue("container")
        inside = InContainer(lab, it, request.getfixturevalue("attach")("--configure", *options, str(it.pid)))
    else:
        it = request.getfixturevalue("session")
        inside = InSession(it, test_seed_form.start(it, *options))
        it.run("nsenter --net=net ip link set lo up")  # nothing is configured there
        request.addfinalizer(lambda: lab.stop(inside.process))
    services(inside, TCP_SERVICE % both())
    for _ in range(3):
        assert ask(lab, "127.0.0.1", 8080) == "127.0.0.1"
        assert ask(lab, "::1", 8080) == "::1"
        assert ask(lab, "198.51.100.1", 8080) == "127.0.0.1"


@pytest.mark.core
@pytest.mark.parametrize("listens", ["127.0.0.1", "::1"])
def test_the_other_ip_version_is_tried(lab, make_guest, services, listens):
    services(make_guest("--publish-loopback", "8080:80"), TCP_SERVICE % [(listens, 80)])
    assert [ask(lab, address, 8080) for address in ("127.0.0.1", "::1")] == [listens, listens]


@pytest.mark.core
def test_a_client_is_reset_where_nobody_listens(lab, make_guest):
    make_guest("--publish-loopback", "127.0.0.1:8080:80")
    begin = time.monotonic()
    assert ask(lab, "127.0.0.1", 8080) == "reset"
    assert time.monotonic() - begin < 3
    assert ask(lab, "::1", 8080) == "refused"


@LOOPBACKS
@pytest.mark.parametrize("addresses", ["none", "link-local", "both"])
def test_a_guest_without_its_loopback(lab, request, session, address, addresses):  # noqa: F811
    """Its lo is down, and so its kernel sends what is for 127.0.0.1 or ::1 along the default route: to us."""
    process = test_seed_form.start(session, "--publish-loopback", "8080:80")
    request.addfinalizer(lambda: lab.stop(process))
    inside = "nsenter --net=net "
    if addresses == "both":
        session.run(inside + "ip addr add 10.0.2.100/24 dev tap0")
        session.run(inside + "ip addr replace fd00::100/64 dev tap0 nodad")
        session.run(inside + "ip route replace default via 10.0.2.2")
    if addresses != "none":
        session.run(inside + "ip link set tap0 up")
        session.run(inside + "ip -6 route replace default via fe80::2 dev tap0")
    begin = time.monotonic()
    assert ask(lab, address, 8080) == "reset"
    assert time.monotonic() - begin < 3


@LOOPBACKS
def test_udp(lab, make_guest, services, address):
    guest = make_guest("--publish-loopback", "udp/5300:53")
    services(guest, UDP_SERVICE % both(53))
    assert ask_udp(lab, address, 5300, (1, 1400, 60000)) == address


@pytest.mark.core
def test_half_close_both_ways(lab, make_guest, services):
    services(make_guest("--publish-loopback", "8080:80"), TCP_SERVICE % both())
    code = """
import socket
s = socket.create_connection(('127.0.0.1', 8080), 10)
s.sendall(b'x' * 300000)
s.shutdown(socket.SHUT_WR)
f = s.makefile('rb')
f.readline()
print(len(f.read()))
"""
    assert client(lab, code) == ["300000"]


@pytest.mark.core
def test_a_service_that_speaks_and_closes(lab, make_guest, services):
    """Its FIN may come in one event with the connection itself: many times, because that is a race."""
    guest = make_guest("--publish-loopback", "8080:80")
    services(guest, """
import socket
s = socket.create_server(('127.0.0.1', 80))
print('listening', flush=True)
while True:
    c, _ = s.accept()
    c.sendall(b'time\\n')
    c.close()
""")
    code = """
import socket
good = 0
for _ in range(300):
    s = socket.create_connection(('127.0.0.1', 8080), 5)
    s.settimeout(5)
    good += s.makefile('rb').read() == b'time\\n'
print(good)
"""
    assert client(lab, code) == ["300"]


@pytest.mark.core
def test_a_thousand_at_once(lab, make_guest, services):
    services(make_guest("--publish-loopback", "8080:80"), TCP_SERVICE % both())
    code = """
import resource, socket
limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
sockets = [socket.socket() for _ in range(1000)]
for s in sockets:
    s.setblocking(False)
    s.connect_ex(('127.0.0.1', 8080))
good = 0
for number, s in enumerate(sockets):
    s.settimeout(60)
    f = s.makefile('rb')
    assert f.readline() == b'127.0.0.1\\n'
    s.sendall(b'%d\\n' % number)
    good += f.readline() == b'%d\\n' % number
print(good)
"""
    assert client(lab, code, timeout=120) == ["1000"]


@LOOPBACKS
def test_a_gigabyte_both_ways(lab, make_guest, services, sanitized, address):
    services(make_guest("--publish-loopback", "8080:80"), TCP_SERVICE % both())
    code = f"""
import hashlib, socket, threading
s = socket.create_connection(({address!r}, 8080), 60)
size = {64 if sanitized else 1024} << 20
block = bytes(i * i % 251 for i in range((1 << 20) + 7))
sent = hashlib.sha256()
def send():
    left = size
    while left:
        part = block[:min(left, len(block))]
        s.sendall(part)
        sent.update(part)
        left -= len(part)
    s.shutdown(socket.SHUT_WR)
thread = threading.Thread(target=send)
thread.start()
f = s.makefile('rb')
f.readline()
heard = hashlib.sha256()
total = 0
while data := f.read(1 << 20):
    heard.update(data)
    total += len(data)
thread.join()
print(total == size and heard.digest() == sent.digest())
"""
    assert client(lab, code, timeout=120) == ["True"]


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.core
def test_clients_that_disappear_leave_nothing(lab, make_guest, services):
    guest = make_guest("--publish-loopback", "8080:80")
    services(guest, TCP_SERVICE % both())
    assert ask(lab, "127.0.0.1", 8080) == "127.0.0.1"  # spare sockets are there from now on
    time.sleep(0.5)
    before = descriptors(guest.forwarder)
    vanish = """
import socket, struct
for number in range(100):
    s = socket.create_connection(('127.0.0.1', 8080), 10)
    s.setblocking(False)
    try:
        for _ in range(number):
            s.send(b'x' * 100000)
    except BlockingIOError:
        pass
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', number % 2, 0))
    s.close()
"""
    client(lab, vanish)
    wait_for(lambda: descriptors(guest.forwarder) <= before + 20, 10, "the connections' descriptors to be closed")
    assert ask(lab, "127.0.0.1", 8080) == "127.0.0.1"


def request(path, message):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(str(path))
        s.sendall(json.dumps(message).encode())
        s.shutdown(socket.SHUT_WR)
        return json.loads(s.makefile("rb").read())


@pytest.mark.core
def test_added_and_removed_at_run_time(lab, make_guest, services):
    api = lab.path("api")
    guest = make_guest("--api-socket", str(api))
    services(guest, TCP_SERVICE % both())
    assert ask(lab, "127.0.0.1", 8080) == "refused"
    added = request(api, {"execute": "publish", "arguments": {"port": "8080:80", "loopback": True}})
    assert added["return"]["ports"][0]["loopback"] is True, added
    assert ask(lab, "127.0.0.1", 8080) == "127.0.0.1"
    assert request(api, {"execute": "list_published"})["return"]["ports"][0]["accepted"] == 1
    assert request(api, {"execute": "list_hostfwd"})["return"]["entries"] == []
    request(api, {"execute": "unpublish", "arguments": {"port": "8080:80"}})
    assert ask(lab, "127.0.0.1", 8080) == "refused"


# --- the life of namespaces that are not ours ---


@pytest.mark.core
@pytest.mark.parametrize("used", ["unused", "used", "udp to a closed port"])
def test_attach_ends_with_the_namespace(nothing_left, lab, attach, used):
    container = Container(lab)
    options = ["--publish-loopback", "8080:80", "--publish-loopback", "udp/8053:53"]
    process = attach("--configure", *options, str(container.pid))
    if used == "used":
        service = start(InContainer(lab, container, process), TCP_SERVICE % both())
        for address in ("127.0.0.1", "::1"):
            assert ask(lab, address, 8080) == address
        lab.stop(service, signal.SIGKILL)
    elif used != "unused":
        assert ask_udp(lab, "127.0.0.1", 8053) == "nothing"
    container.kill()
    assert process.wait(20) == 0, "the kernel takes namespaces down one after the other"
    assert process.stderr.read() == ""


def test_a_kernel_that_does_not_lead_to_the_namespace(lab, container):
    """Before Linux 5.11: clients are reset, and the reason is said, once."""
    log, lacking = lab.path("log"), pathlib.Path(world.__file__).with_name("lacking.py")
    words = [lab.binary, "attach", "--configure", "--publish-loopback", "8080:80", str(container.pid)]
    with open(log, "w", encoding="utf-8") as file:
        process = lab.popen([lacking, "tap_namespace", "--", *lab.as_user(words)], env=lab.user_environment(), stderr=file)
    try:
        wait_for(lambda: ask(lab, "127.0.0.1", 8080) == "reset", 10, "the port")
        assert ask(lab, "127.0.0.1", 8080) == "reset"
        assert len([line for line in log.read_text().splitlines() if "Linux 5.11" in line]) == 1, log.read_text()
    finally:
        lab.stop(process)


def test_a_client_that_stays_holds_the_namespace_for_a_while_only(nothing_left, lab, attach):
    """The service is gone, its client is not: the socket between them is the namespace's last holder."""
    container = Container(lab)
    process = attach("--configure", "--publish-loopback", "8080:80", str(container.pid))
    service = start(InContainer(lab, container, process), TCP_SERVICE % both())
    code = "import socket,time\ns=socket.create_connection(('127.0.0.1',8080))\nprint(s.recv(20),flush=True)\ntime.sleep(200)"
    container.run("echo 5 > /proc/sys/net/ipv4/tcp_fin_timeout")  # a minute by default
    stays = lab.user_popen(python(code), stdout=-1)
    assert "127.0.0.1" in stays.stdout.readline()
    lab.stop(service, signal.SIGKILL)
    container.kill()
    assert process.wait(45) == 0
    lab.stop(stays, signal.SIGKILL)


def keeper_of(program):
    return only_child(program)


def inside(program):
    """The process that makes the sockets: the keeper's child."""
    return only_child(keeper_of(program))


FAMILY = pytest.mark.parametrize("whom", ["program", "keeper", "helper"])


def family(program):
    return {"program": program, "keeper": keeper_of(program), "helper": inside(program)}


@pytest.mark.core
@FAMILY
def test_killed(nothing_left, lab, container, attach, services, whom):
    process = attach("--configure", "--publish-loopback", "8080:80", str(container.pid))
    services(InContainer(lab, container, process), TCP_SERVICE % both())
    assert ask(lab, "127.0.0.1", 8080) == "127.0.0.1"
    members = family(process.pid)
    os.kill(members[whom], signal.SIGKILL)
    assert process.wait(5) == (-signal.SIGKILL if whom == "program" else 128 + signal.SIGKILL)
    wait_for(lambda: container.run("ip link show tap0", check=False).returncode != 0, 5, "the TAP to go")
    wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in members.values()), 5, "the helpers to go")
    assert ask(lab, "127.0.0.1", 8080) == "refused"


@pytest.mark.core
@FAMILY
def test_path_killed(nothing_left, session, whom):
    process = test_seed_form.start(session, "--publish-loopback", "8080:80")
    chain = [process.pid, *children(process.pid)]
    programs = [pid for pid in chain if b"slirp" in open(f"/proc/{pid}/cmdline", "rb").read().split(b"\0")[0]]
    assert len(programs) == 3
    os.kill(programs[["program", "keeper", "helper"].index(whom)], signal.SIGKILL)
    process.wait(5)
    wait_for(lambda: not session.mounted(), 5, "the mount to go")


@pytest.mark.core
def test_the_helper_holds_neither_the_namespace_nor_the_callers_descriptors(lab, container, attach):
    process = attach("--configure", "--publish-loopback", "8080:80", str(container.pid))
    helper = inside(process.pid)
    wait_for(lambda: os.readlink(f"/proc/{helper}/ns/net") != os.readlink(f"/proc/{container.pid}/ns/net"), 5, "it to leave")
    wait_for(lambda: descriptors(helper) <= 6, 5, "what it does not need to be closed")
    held = {os.readlink(f"/proc/{helper}/fd/{fd}") for fd in os.listdir(f"/proc/{helper}/fd")}
    assert os.readlink(f"/proc/{container.pid}/ns/net") not in held


def test_the_guests_root_cannot_take_over_the_helper(lab, make_guest):
    """It makes the sockets that the program uses; neither its memory nor its descriptors are the guest's."""
    guest = make_guest("--publish-loopback", "8080:80")
    helper = inside(guest.forwarder)
    for what in ("mem", "fd/0", "environ"):
        refused = guest.run(f"exec 3< /proc/{helper}/{what}", check=False)
        assert "Permission denied" in refused.stderr, what
    guest.run(f"exec 3< /proc/{guest.pid}/mem")
