"""What a hostile or busy guest can do to itself: floods, and many connections. The program's memory and descriptors stay
within bounds, and a well-behaved flow beside it keeps at least half of its throughput, and its DNS answers.

What comes faster than the program takes it fills the queue of the TAP, which is one for all of the guest's flows, and then
the guest's kernel drops from all of them. So floods come at a rate that the program takes while others use the machine, too.
LOAD_RATE=0 has them come as fast as a CPU of the guest sends them: two quiet CPUs are needed for that, one of them for the flood.

It measures shares of the machine, so it is no part of `make test`, which runs three labs side by side: `make test-load`.
LOAD_SECONDS (of each flood) and LOAD_CONNECTIONS make it longer: `make load`."""

import contextlib
import json
import os
import pathlib
import subprocess
import threading
import time

import pytest

from lab import world
from lab.guest import children, wait_for
from lab.network import FAR4, WAN4, WAN4_SECOND

pytestmark = [pytest.mark.release, pytest.mark.load]

SECONDS = int(os.environ.get("LOAD_SECONDS", "5"))
CONNECTIONS = int(os.environ.get("LOAD_CONNECTIONS", "10000"))
LOAD = str(world.BIN / "bench_load")
# Of the program and its helpers, beside what the payload of live connections takes (ARCHITECTURE.md, "Memory").
CEILING_KB = 48 * 1024
MEGABITS = 100  # of the well-behaved flow: far less than a machine can do, so that it measures being starved, not a CPU's speed


@pytest.fixture(scope="module")
def server(lab):
    process = lab.popen(lab.wan.command([LOAD, "serve", "--", WAN4]), stdout=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    yield
    lab.stop(process)


def private_kilobytes(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(("Private_", "Swap:")))


def is_ours(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/comm").read_text().startswith("slirp-forwarder")
    return False


class Watch:
    """The program's private memory and descriptors, looked at every 0.2 s: the most that was seen."""

    def __init__(self, guest):
        self.pids = [guest.forwarder, *(pid for pid in children(guest.forwarder) if is_ours(pid))]
        self.before = self.descriptors()
        self.memory, self.most = 0, 0
        self._stop = threading.Event()

    def descriptors(self):
        return len(list(pathlib.Path(f"/proc/{self.pids[0]}/fd").iterdir()))

    def look(self):
        self.memory = max(self.memory, sum(private_kilobytes(pid) for pid in self.pids))
        self.most = max(self.most, self.descriptors())

    def _run(self):
        while not self._stop.wait(0.2):
            self.look()

    def __enter__(self):
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def back(self, timeout=20, most=20):  # the DNS forwarder keeps up to 16 sockets for a while
        wait_for(lambda: self.descriptors() <= self.before + most, timeout, "descriptors to be closed", every=0.2)


def iperf(guest, seconds, *words):
    """Megabits per second that arrive of a TCP stream that offers MEGABITS."""
    done = guest.run(["iperf3", "-J", "-c", WAN4, "-b", f"{MEGABITS}M", "-t", str(seconds), *words], timeout=seconds + 30)
    return json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"] / 1e6


def dig(guest):
    """As a stub resolver asks: True where there is an answer within 3 tries of a second."""
    return guest.run(["dig", "+short", "+tries=3", "+time=1", "@10.0.2.3", "wan.lab.test"], check=False).stdout.strip() != ""


@contextlib.contextmanager
def attack(guest, *words):
    """A flood for as long as the body takes."""
    rate = os.environ.get("LOAD_RATE") or RATES.get(words[0].removeprefix("--kind="), RATE)
    command = [LOAD, "flood", "--seconds=3600", f"--rate={rate}", *words]
    process = guest.popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        time.sleep(0.5)
        assert process.poll() is None, process.stderr.read()
        yield
    finally:
        process.terminate()
        out, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    said = json.loads(out)
    print(f"flood {' '.join(words)}: {said}")
    assert said["count"] > 20_000, "that is no flood"


def beside(guest, watch, *words):
    """The well-behaved flow beside a flood, both ways; and DNS."""
    answers = []
    with watch, attack(guest, *words):
        for direction in ([], ["-R"]):
            streams = threading.Thread(target=lambda: answers.append(dig(guest)))
            streams.start()
            arrived = iperf(guest, max(1, SECONDS // 2), *direction)
            streams.join()
            print(f"beside {' '.join(words)} {direction}: {arrived:.0f} of {MEGABITS} Mbit/s")
            assert arrived >= MEGABITS / 2, direction
        for _ in range(5):
            answers.append(dig(guest))
    assert all(answers), answers
    print(f"most: {watch.memory} KiB, {watch.most} descriptors (from {watch.before})")
    assert watch.memory < CEILING_KB
    assert guest.process.poll() is None
    assert len(guest.messages().splitlines()) < 20, "no log line per packet"


def test_alone(make_guest):
    """What the others are compared with."""
    guest = make_guest()
    assert iperf(guest, 1) > 0.9 * MEGABITS and iperf(guest, 1, "-R") > 0.9 * MEGABITS


DATAGRAMS = ["--kind=udp", "--to=203.0.113.0", "--spread=256"]
SYNS_TO_NOBODY = ["--kind=syn", "--to=203.0.113.128", "--spread=64"]
RATES = {"udp": 100_000}  # packets per second
RATE = 200_000  # of other floods


def test_syns_towards_nobody(make_guest):
    """Half-open ones are bounded, and the oldest make room."""
    guest = make_guest()
    watch = Watch(guest)
    beside(guest, watch, *SYNS_TO_NOBODY)
    assert watch.most <= watch.before + 4096 + 200


def test_syns_that_are_refused(make_guest):
    guest = make_guest()
    watch = Watch(guest)
    beside(guest, watch, "--kind=syn", f"--to={FAR4}")
    assert watch.most <= watch.before + 4096 + 200
    watch.back()


def test_segments_of_no_connection(make_guest):
    guest = make_guest()
    watch = Watch(guest)
    beside(guest, watch, "--kind=ack", f"--to={FAR4}")
    assert watch.most <= watch.before + 200


def test_datagrams_to_random_places(make_guest):
    """All UDP flows that there may be are taken."""
    guest = make_guest()
    watch = Watch(guest)
    beside(guest, watch, *DATAGRAMS)
    assert watch.before + 8000 <= watch.most <= watch.before + 8192 + 200


def test_new_flows_of_datagrams_when_all_are_taken(make_guest):
    """Beside the flood to whom has answered before, and as soon as it has ended to anybody."""
    guest = make_guest()
    watch = Watch(guest)
    ask = ["dig", "+short", "+tries=3", "+time=1"]
    assert guest.out([*ask, f"@{WAN4}", "wan.lab.test"]).split() == [WAN4]
    with watch, attack(guest, *DATAGRAMS):
        wait_for(lambda: watch.descriptors() >= watch.before + 8190, 20, "all flows to be taken")
        for _ in range(5):
            # (It names tries that had no answer, too.)
            assert guest.out([*ask, f"@{WAN4}", "wan.lab.test"], timeout=60).split()[-1] == WAN4
    assert watch.descriptors() >= watch.before + 8190
    time.sleep(1)
    for _ in range(5):
        assert guest.out(["dig", "+short", "+tries=1", "+time=2", f"@{WAN4_SECOND}", "wan.lab.test"]).split() == [WAN4]


def test_fragments(make_guest):
    guest = make_guest()
    watch = Watch(guest)
    beside(guest, watch, "--kind=fragments", f"--to={FAR4}")
    assert watch.most <= watch.before + 200


def test_new_connections_beside_a_flood(make_guest, server):
    """The first one to a server may have to say its SYN again. Those that follow are told from the flood."""
    guest = make_guest()
    with attack(guest, *SYNS_TO_NOBODY):
        time.sleep(2)  # what may be opened at once is used up
        begin = time.monotonic()
        guest.out(["curl", "-sS", "-m", "25", f"http://{WAN4}/"])
        first = time.monotonic() - begin
        shots = [LOAD, "one-shots", f"--to={WAN4}", f"--seconds={SECONDS}", "--parallel=20"]
        said = json.loads(guest.out(shots, timeout=60 + SECONDS))
    print(f"the first one took {first:.2f} s; then {said}")
    assert said["lost"] == 0 and said["rate"] > 200, said


def test_thousands_at_once(make_guest, server):
    """They come within milliseconds, and are no flood: none is refused or stands still."""
    guest = make_guest()
    ask = f"ulimit -n $(ulimit -Hn); exec {LOAD} one-shots --to={WAN4} --seconds=4 --parallel=3000"
    said = json.loads(guest.out(ask, timeout=60))
    print(said)
    assert said["lost"] == 0 and said["count"] > 10_000, said


def test_many_short_connections(make_guest, server):
    guest = make_guest()
    watch = Watch(guest)
    with watch:
        done = 0
        while done < CONNECTIONS:
            said = json.loads(guest.out([LOAD, "one-shots", f"--to={WAN4}", "--seconds=3", "--parallel=50"], timeout=60))
            assert said["lost"] == 0, said
            done += said["count"]
            assert dig(guest)
    print(f"{done} connections, {said}; most: {watch.memory} KiB, {watch.most} descriptors (from {watch.before})")
    assert watch.memory < CEILING_KB
    assert watch.most <= watch.before + 200
    watch.back()


def test_ten_thousand_live_connections(make_guest, server):
    """Each asks every 2 s and is answered; beside them, a stream and DNS."""
    guest = make_guest()
    watch = Watch(guest)
    clients = guest.popen(f"ulimit -n $(ulimit -Hn); exec {LOAD} requests --to={WAN4} --parallel=10000 --pause=2000 --seconds={SECONDS + 5}",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with watch:
        wait_for(lambda: watch.descriptors() >= 10000 or clients.poll() is not None, 60, "the connections")
        assert clients.poll() is None, clients.stderr.read()
        arrived = iperf(guest, 2)
        assert dig(guest)
        out, errors = clients.communicate(timeout=90)
    assert clients.returncode == 0, errors
    said = json.loads(out)
    print(f"{said}; beside them {arrived:.0f} of {MEGABITS} Mbit/s; most: {watch.memory} KiB")
    assert said["count"] > 10000 and said["p99"] < 1e6
    assert arrived >= MEGABITS / 2
    assert watch.memory < CEILING_KB
    watch.back()
