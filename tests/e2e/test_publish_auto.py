"""--publish auto: what listens inside is there on the host's loopback, for as long as it listens."""

import signal
import time

import pytest

from lab.guest import wait_for
from lab.network import WAN4
from loopback import TCP_SERVICE, UDP_SERVICE, ask, ask_udp, python, start
from test_attach import Container, attach, container  # noqa: F401
from test_publish_loopback import InContainer, inside

SOON = 2  # seconds, the promise


def appears(lab, address, port, as_whom):
    wait_for(lambda: ask(lab, address, port) == as_whom, SOON, f"{address} port {port}")


def goes(lab, address, port):
    wait_for(lambda: ask(lab, address, port) == "refused", SOON, f"{address} port {port} to go")


@pytest.mark.core
def test_a_listener_comes_and_goes(lab, make_guest):
    guest = make_guest("--publish", "auto")
    for _ in range(2):
        service = start(guest, TCP_SERVICE % [("127.0.0.1", 8081)])
        appears(lab, "127.0.0.1", 8081, "127.0.0.1")
        assert ask(lab, "::1", 8081) == "refused", "only where it listens"
        assert ask(lab, "198.51.100.1", 8081) == "refused", "the host's loopback alone"
        lab.stop(service, signal.SIGKILL)
        goes(lab, "127.0.0.1", 8081)


@pytest.mark.core
@pytest.mark.parametrize("listens, reached", [
    ("::1", {"::1": "::1"}),
    ("0.0.0.0", {"127.0.0.1": "127.0.0.1"}),
    ("10.0.2.100", {"127.0.0.1": "10.0.2.100"}),
    ("fd00::100", {"::1": "fd00::100"}),
])
def test_where_it_listens(lab, make_guest, listens, reached):
    guest = make_guest("--publish", "auto")
    service = start(guest, TCP_SERVICE % [(listens, 8081)])
    for address, as_whom in reached.items():
        appears(lab, address, 8081, as_whom)
    for address in {"127.0.0.1", "::1"} - set(reached):
        assert ask(lab, address, 8081) == "refused"
    lab.stop(service, signal.SIGKILL)


def test_a_listener_of_both_ip_versions(lab, make_guest):
    guest = make_guest("--publish", "auto")
    both = TCP_SERVICE.replace("IPV6_V6ONLY, 1", "IPV6_V6ONLY, 0") % [("::", 8081)]
    service = start(guest, both)
    appears(lab, "127.0.0.1", 8081, "::ffff:127.0.0.1")
    appears(lab, "::1", 8081, "::1")
    lab.stop(service, signal.SIGKILL)


@pytest.mark.core
def test_udp(lab, make_guest):
    guest = make_guest("-p", "auto")
    service = start(guest, UDP_SERVICE % [("127.0.0.1", 5300), ("::1", 5300)])
    for address in ("127.0.0.1", "::1"):
        wait_for(lambda: ask_udp(lab, address, 5300) == address, SOON + 1, address)
    assert ask_udp(lab, "127.0.0.1", 5300, (1, 1400, 60000)) == "127.0.0.1"
    lab.stop(service, signal.SIGKILL)
    wait_for(lambda: ask_udp(lab, "127.0.0.1", 5300) == "nothing", SOON + 1, "the port to go")


def test_a_taken_port_is_said_once(lab, make_guest):
    code = "import socket,time\ns=socket.create_server(('127.0.0.1',8081))\nprint('up',flush=True)\ntime.sleep(60)"
    holder = lab.user_popen(python(code), stdout=-1, text=True)
    assert holder.stdout.readline() == "up\n"
    guest = make_guest("--publish", "auto")
    first = start(guest, TCP_SERVICE % [("127.0.0.1", 8081)])
    wait_for(lambda: "8081" in guest.messages(), SOON, "the warning")
    other = start(guest, TCP_SERVICE % [("127.0.0.1", 8082)])  # a change: all are tried again
    appears(lab, "127.0.0.1", 8082, "127.0.0.1")
    lines = [line for line in guest.messages().splitlines() if "8081" in line]
    assert len(lines) == 1 and "in use" in lines[0], lines
    lab.stop(holder, signal.SIGKILL)
    lab.stop(other, signal.SIGKILL)  # the next change finds it free
    appears(lab, "127.0.0.1", 8081, "127.0.0.1")
    lab.stop(first, signal.SIGKILL)


def test_beside_a_port_that_was_asked_for(lab, make_guest):
    guest = make_guest("--publish", "auto", "--publish-loopback", "8081:8081")
    service = start(guest, TCP_SERVICE % [("127.0.0.1", 8081), ("127.0.0.1", 8082)])
    appears(lab, "127.0.0.1", 8082, "127.0.0.1")
    assert ask(lab, "127.0.0.1", 8081) == "127.0.0.1"
    assert "8081" not in guest.messages()
    lab.stop(service, signal.SIGKILL)


@pytest.mark.core
def test_attached(nothing_left, lab, attach):
    container = Container(lab)
    process = attach("--configure", "--publish", "auto", str(container.pid))
    service = start(InContainer(lab, container, process), TCP_SERVICE % [("127.0.0.1", 8081), ("::1", 8082)])
    appears(lab, "127.0.0.1", 8081, "127.0.0.1")
    appears(lab, "::1", 8082, "::1")
    lab.stop(service, signal.SIGKILL)
    goes(lab, "127.0.0.1", 8081)
    container.kill()
    assert process.wait(5) == 0
    assert process.stderr.read() == ""


def switches(pid):
    text = open(f"/proc/{pid}/status", encoding="utf-8").read()
    return sum(int(line.split(":\t")[1]) for line in text.splitlines() if "ctxt_switches" in line)


@pytest.mark.release
def test_the_program_sleeps_while_nothing_changes(lab, make_guest):
    """The process inside looks; the one that moves packets is told of changes alone."""
    guest = make_guest("--publish", "auto")
    service = start(guest, TCP_SERVICE % [("127.0.0.1", 8081)])
    appears(lab, "127.0.0.1", 8081, "127.0.0.1")
    guest.run(f"curl -sS http://{WAN4}/")
    time.sleep(4)
    helper = inside(guest.forwarder)
    windows = []
    for _ in range(4):
        before = switches(guest.forwarder), switches(helper)
        time.sleep(5)
        windows.append(switches(guest.forwarder) - before[0])
        looks = switches(helper) - before[1]
        assert looks >= 10, "or nobody looks"
        if windows[-1] == 0:
            break
    lab.stop(service, signal.SIGKILL)
    assert windows[-1] == 0, f"wake-ups in windows of 5 s: {windows}"
