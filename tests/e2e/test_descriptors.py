"""The limit of open files is reached: idle flows make room, others are refused at once, one line says so, and what has
to go on does: name servers' answers, the control socket. When descriptors come free, all works again."""

import errno
import socket
import subprocess
import time

import pytest

from lab.guest import Guest, wait_for
from lab.network import WAN4
from loopback import TCP_SERVICE, start

FEW = 96

# A client in the guest that does what it is told, line by line, and answers with a line.
HOLDER = """
import select, socket, sys, threading, time
tcp, udp, busy = {}, [], []
def opened():
    s = socket.create_connection(('%s', 7), 5)
    s.settimeout(5)
    return s
def echo(s):
    s.send(b'hello')
    return s.recv(5) == b'hello'
def works(s):
    try:
        return echo(s)
    except OSError:
        return False
def keep_busy():
    while True:
        time.sleep(3)
        for s in list(busy):
            works(s)
threading.Thread(target=keep_busy, daemon=True).start()
for line in sys.stdin:
    what, *words = line.split()
    if what == 'open':                  # NAME COUNT: how many there are, and why no more
        mine, why = tcp.setdefault(words[0], []), 0
        start = time.monotonic()
        try:
            while len(mine) < int(words[1]):
                start = time.monotonic()
                mine.append(opened())
                assert echo(mine[-1])
        except OSError as error:
            why = error.errno
        print(len(mine), why, round(time.monotonic() - start, 1), flush=True)
    elif what == 'udp':                 # COUNT: how many were answered, and why the last one was not
        why, good = 0, 0
        for _ in range(int(words[0])):
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.settimeout(5)
            s.connect(('%s', 7))
            udp.append(s)
            try:
                good += echo(s)
            except OSError as error:
                why = error.errno
        print(good, why, flush=True)
    elif what == 'again':               # how many of the UDP sockets are answered
        print(sum(works(s) for s in udp), flush=True)
    elif what == 'busy':                # NAME
        busy.extend(tcp[words[0]])
        print(len(busy), flush=True)
    elif what == 'alive':               # NAME: which ones work
        print(*(i for i, s in enumerate(tcp[words[0]]) if works(s)), flush=True)
    elif what == 'close':
        for s in tcp.pop(words[0]):
            s.close()
        print(flush=True)
""" % (WAN4, WAN4)


class Holder:
    def __init__(self, guest):
        self.process = guest.popen(["/usr/bin/python3", "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()
        return [float(word) for word in self.process.stdout.readline().split()]


@pytest.fixture
def few(lab):
    """few(*options): a guest whose program may have few files open, and the folder in which its commands find it."""
    guests = []

    def make(*options, most=FEW):
        runtime = lab.path("runtime")
        lab.user_run(["mkdir", "-m", "0700", runtime], check=True)
        program = ["prlimit", f"--nofile={most}:{most}", lab.binary, "run"]
        guest = Guest(lab, *options, program=program, env={"XDG_RUNTIME_DIR": str(runtime)})
        guest.__enter__()
        guests.append(guest)
        return guest, runtime

    yield make
    for guest in guests:
        guest.close()


def goes_on(lab, guest, runtime):
    """Name servers are asked, and a request over the control socket is answered."""
    assert guest.out("dig @10.0.2.3 +tries=1 +time=5 +short A wan.lab.test") == f"{WAN4}\n"
    done = lab.user_run([lab.binary, "flows"], env={"XDG_RUNTIME_DIR": str(runtime)})
    assert done.returncode == 0 and f"{WAN4}:7" in done.stdout, done.stderr


def lines(guest):
    return [line for line in guest.messages().splitlines() if "ulimit -n" in line]


@pytest.mark.core
def test_refused_at_once_and_working_again(lab, few):
    guest, runtime = few()
    hold = Holder(guest)
    count, why, seconds = hold("open", "first", FEW)
    assert 20 < count < FEW and why == errno.ECONNREFUSED and seconds < 2
    assert hold("udp", 3) == [0, errno.EHOSTUNREACH], "administratively prohibited"
    assert hold("open", "more", 5)[:2] == [0, errno.ECONNREFUSED]
    goes_on(lab, guest, runtime)
    assert len(hold("alive", "first")) == count
    hold("close", "first")
    wait_for(lambda: hold("open", "second", 20)[0] == 20, 5, "new connections")
    assert hold("udp", 3) == [3, 0]
    assert len(lines(guest)) == 1, guest.messages()


@pytest.mark.core
def test_idle_ones_make_room(few):
    """UDP first, then the connections that have been idle for longest; none that is used."""
    guest, _ = few()
    hold = Holder(guest)
    assert hold("open", "idle", 10)[0] == 10
    assert hold("udp", 10) == [10, 0]
    used = int(hold("open", "used", FEW)[0])
    hold("busy", "used")
    assert used > 5
    time.sleep(31)
    assert hold("open", "new", 13) == [13, 0, pytest.approx(0, abs=2)]
    assert hold("alive", "idle") == list(range(3, 10)), "the mappings, and the three oldest"
    hold("close", "new")
    wait_for(lambda: hold("again") == [10], 5, "the mappings to come back with the next datagrams")
    assert len(hold("alive", "used")) == used
    assert len(lines(guest)) == 1, guest.messages()




CLIENTS = """
import select, socket, sys
port, count = %d, %d
made = [socket.create_connection(('127.0.0.1', port), 10) for _ in range(count)]
def served(timeout):
    waiting, good = set(made), 0
    while waiting:
        ready = select.select(list(waiting), [], [], timeout)[0]
        if not ready:
            break
        for s in ready:
            try:
                good += s.recv(100) != b''
            except OSError as error:
                print('reset', error, file=sys.stderr)
            waiting.discard(s)
    return good, waiting
good, waiting = served(1.5)
print(good, len(waiting), flush=True)
sys.stdin.readline()
total = good
while waiting:
    for s in [s for s in made if s not in waiting]:
        s.close()
    made = list(waiting)
    good, waiting = served(3)
    total += good
    if good == 0:
        break
print(total, flush=True)
"""


@pytest.mark.core
@pytest.mark.parametrize("option,port", [("--publish", 8080), ("--publish-loopback", 8081)], ids=["published", "loopback"])
def test_clients_from_outside_wait(lab, few, option, port):
    """Beyond the limit they wait in the listener's backlog; none is reset, and all are served in the end."""
    guest, runtime = few(option, f"127.0.0.1:{port}:80")
    start(guest, TCP_SERVICE % ([("0.0.0.0", 80)],))
    hold = Holder(guest)
    assert hold("open", "one", 1)[0] == 1
    process = lab.user_popen(["/usr/bin/python3", "-c", CLIENTS % (port, 120)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    served, waiting = map(int, process.stdout.readline().split())
    assert 5 < served < FEW and served + waiting == 120
    goes_on(lab, guest, runtime)
    out, errors = process.communicate("go on\n", timeout=60)
    assert (int(out), errors) == (120, "")
    assert len(lines(guest)) == 1, guest.messages()
    assert hold("open", "one", 10)[0] == 10
