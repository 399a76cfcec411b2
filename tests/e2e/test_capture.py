"""capture: the frames of a running instance, live, by a filter, by several at once, and by readers that do not read."""

import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import time

import pytest

from lab.guest import said, wait_for
from lab.network import WAN4, WAN6

SECTION, INTERFACE, PACKET, STATISTICS = 0x0A0D0D0A, 1, 6, 5


class Capture:
    """A running `slirp-forwarder capture`; use as a context manager. Ready once the instance has agreed, which the first
    bytes on its standard output show, or its file."""

    def __init__(self, lab, guest, *words, **options):
        self.lab, self.guest, self.words, self.options = lab, guest, words, options
        self.bytes = b""
        self.process = None

    def __enter__(self):
        self.process = self.lab.user_popen([self.lab.binary, "capture", str(self.guest.forwarder), *self.words],
                                           env=self.guest.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=False,
                                           **self.options)
        if "-w" in self.words:
            file = pathlib.Path(self.words[self.words.index("-w") + 1])
            wait_for(lambda: file.exists() and file.stat().st_size > 0 or self.process.poll() is not None, what="the file")
        else:
            assert self.read(10), self.process.stderr.read()
        return self

    def __exit__(self, *_):
        self.lab.stop(self.process, signal.SIGKILL)

    def read(self, timeout):
        """What comes next, for so long; b"" at the end, None where nothing came."""
        if not select.select([self.process.stdout], [], [], timeout)[0]:
            return None
        piece = os.read(self.process.stdout.fileno(), 1 << 20)
        self.bytes += piece
        return piece

    def blocks(self):
        """The whole ones among what was read: (type, bytes)."""
        at = 0
        while at + 8 <= len(self.bytes):
            kind, length = struct.unpack_from("=II", self.bytes, at)
            if at + length > len(self.bytes):
                return
            assert struct.unpack_from("=I", self.bytes, at + length - 4) == (length,)
            yield kind, self.bytes[at:at + length]
            at += length

    def frames(self):
        return [block for kind, block in self.blocks() if kind == PACKET]

    def wait_for_frames(self, count, timeout):
        deadline = time.monotonic() + timeout
        while len(self.frames()) < count:
            assert self.read(max(0, deadline - time.monotonic())), f"{len(self.frames())} frames in {timeout} s"

    def end(self, number=signal.SIGINT):
        """Ends in good order: (frames, dropped), as it says itself."""
        self.process.send_signal(number)
        return self.rest()

    def rest(self):
        while self.read(10):
            pass
        errors = self.process.stderr.read().decode()
        assert self.process.wait(10) == 0, errors
        found = re.fullmatch(r"slirp-forwarder: (\d+) frames? captured, (\d+) dropped(; the instance has ended)?\n", errors)
        assert found, errors
        return int(found[1]), int(found[2])


def tcpdump(recording, *words):
    """Lines of tcpdump about a recording: bytes, or a path."""
    given = {"input": recording} if isinstance(recording, bytes) else {}
    path = "-" if given else str(recording)
    done = subprocess.run(["tcpdump", "-n", "-r", path, *words], capture_output=True, check=False, timeout=30, **given)
    assert done.returncode == 0, done.stderr
    assert b"truncated" not in done.stderr, done.stderr
    return done.stdout.decode().splitlines()


@pytest.fixture
def runtime(lab):
    path = lab.path("runtime")
    done = lab.user_run(["mkdir", "-m", "700", path])
    assert done.returncode == 0, done.stderr
    return {"XDG_RUNTIME_DIR": str(path)}


@pytest.fixture
def found(make_guest, runtime):
    """found(*options) -> a guest that `capture` finds by its pid."""
    return lambda *options: make_guest(*options, env=runtime)


@pytest.fixture
def capture(lab):
    return lambda guest, *words, **options: Capture(lab, guest, *words, **options)


def descriptors(guest):
    return len(list(pathlib.Path(f"/proc/{guest.forwarder}/fd").iterdir()))


@pytest.mark.core
def test_live_both_ways_and_nothing_else(found, capture):
    guest = found()
    with capture(guest, "icmp", "or", "icmp6") as it:
        guest.run(f"curl -sS http://{WAN4}/; ping -c 1 {WAN4}")
        it.wait_for_frames(2, 1)
        guest.run(["ping", "-c", "1", WAN6])
        it.wait_for_frames(4, 1)
        assert it.end() == (len(it.frames()), 0)
        lines = tcpdump(it.bytes)
        assert not [line for line in lines if "ICMP" not in line], lines
        for text in (f"10.0.2.100 > {WAN4}: ICMP echo request", f"{WAN4} > 10.0.2.100: ICMP echo reply",
                     f"fd00::100 > {WAN6}: ICMP6, echo request", f"{WAN6} > fd00::100: ICMP6, echo reply"):
            assert [line for line in lines if text in line], (text, lines)
        assert [kind for kind, _ in it.blocks()][-1] == STATISTICS
    flags = subprocess.run(["tshark", "-n", "-r", "-", "-T", "fields", "-e", "icmp.type", "-e", "frame.packet_flags_direction"],
                           input=it.bytes, capture_output=True, check=True, timeout=30).stdout.decode()
    by_type = {line.split("\t")[0]: int(line.split("\t")[1], 0) for line in flags.splitlines() if line.split("\t")[0]}
    assert by_type == {"8": 2, "0": 1}, flags  # the request is outbound


def test_without_a_filter_wireshark_has_nothing_to_complain_about(found, capture):
    guest = found()
    with capture(guest) as it:
        guest.run("curl -sS -4 http://wan.lab.test/")
        it.end()
    fields = ["-T", "fields", "-e", "_ws.col.Protocol", "-e", "_ws.malformed", "-e", "tcp.checksum.status"]
    done = subprocess.run(["tshark", "-n", "-r", "-", "-o", "tcp.check_checksum:TRUE", *fields], input=it.bytes,
                          capture_output=True, check=True, timeout=30)
    lines = [line.split("\t") for line in done.stdout.decode().splitlines()]
    assert not [line for line in lines if line[1]], lines
    assert {line[0] for line in lines} >= {"DNS", "TCP", "HTTP"}, lines
    assert {line[2] for line in lines if line[0] == "TCP"} == {"1"}, "checksums are filled in"


def test_to_a_file_so_many_frames_so_much_of_each(lab, found, capture):
    guest = found()
    path = lab.path("captured")
    with capture(guest, "-w", str(path), "-c", "5", "-s", "60", "tcp", "port", "80") as it:
        guest.run(f"curl -sS http://{WAN4}/")
        assert it.rest() == (5, 0)
    assert path.stat().st_mode & 0o777 == 0o600
    lines = tcpdump(path)
    assert len(lines) == 5 and f"10.0.2.100.{lines[0].split('.')[5].split()[0]} > {WAN4}.80: Flags [S]" in lines[0], lines
    sizes = [struct.unpack_from("=II", block, 20) for kind, block in _blocks_of(path) if kind == PACKET]
    assert {kept for kept, _ in sizes} == {60} and max(size for _, size in sizes) > 60, sizes


def _blocks_of(path):
    it = Capture(None, None)
    it.bytes = path.read_bytes()
    return list(it.blocks())


@pytest.mark.core
def test_super_frames_are_whole_and_a_filter_sees_their_size(found, capture, bulk):
    guest = found("--offload=on")
    with capture(guest, "-c", "1", "greater", "20000") as it:
        guest.run(f"curl -sS -o /dev/null http://{WAN4}/file/bulk", timeout=60)
        assert it.rest()[0] == 1
    (frame,) = it.frames()
    assert struct.unpack_from("=I", frame, 20)[0] >= 20000


@pytest.mark.core
def test_a_slow_reader_stalls_nothing_and_is_told_what_it_missed(found, capture, bulk):
    guest = found()
    _, size, _ = bulk
    with capture(guest, "tcp") as it:
        # A pipe that nobody reads: full after 64 KiB.
        out = guest.out(["curl", "-sS", "-o", "/dev/null", "-w", "%{size_download}", f"http://{WAN4}/file/bulk"], timeout=60)
        assert int(out) == size
        assert guest.out(["curl", "-sS", "-m", "5", f"http://{WAN4}/"]) == "hello from the lab\n"
        frames, dropped = it.end()
        assert frames == len(it.frames()) > 0
        assert dropped > 100
        assert tcpdump(it.bytes)


@pytest.mark.core
def test_a_signal_ends_it_though_nobody_reads(found, capture, bulk):
    guest = found()
    with capture(guest) as it:
        guest.run(["curl", "-sS", "-o", "/dev/null", f"http://{WAN4}/file/bulk"], timeout=60)
        it.process.send_signal(signal.SIGTERM)
        assert it.process.wait(10) == 1
        errors = it.process.stderr.read().decode()
        while it.read(10):
            pass
        found_numbers = re.match(r"slirp-forwarder: (\d+) frames captured, \d+ dropped; cut off behind them, ", errors)
        assert found_numbers and int(found_numbers[1]) == len(it.frames()) > 0, errors


@pytest.mark.core
def test_killed_captures_leave_nothing_behind(lab, found, capture):
    guest = found()
    guest.run(["curl", "-sS", f"http://{WAN4}/"])
    time.sleep(2)  # TIME-WAIT: the connection's descriptor goes with it
    before = descriptors(guest)
    for _ in range(3):
        running = [capture(guest).__enter__() for _ in range(4)]
        assert descriptors(guest) >= before + 4
        refused = lab.user_run([lab.binary, "capture", str(guest.forwarder), "-w", str(lab.path("fifth"))], env=guest.env)
        assert refused.returncode == 1
        (line,) = said(refused)
        assert "4 captures" in line and "end one" in line
        for it in running:
            it.process.send_signal(signal.SIGKILL)
            it.process.wait(10)
        wait_for(lambda: descriptors(guest) <= before, what="the descriptors to be closed, though no frame passes")
        guest.run(["curl", "-sS", f"http://{WAN4}/"])
    for it in running:
        lab.stop(it.process)


@pytest.mark.core
def test_two_at_once_each_with_its_filter(found, capture):
    guest = found()
    with capture(guest, "udp port 53") as dns, capture(guest, "tcp port 80") as web:
        guest.run("curl -sS -4 http://wan.lab.test/")
        dns.wait_for_frames(2, 5)
        assert dns.end() == (len(dns.frames()), 0)
        guest.run(["curl", "-sS", f"http://{WAN4}/"])
        assert web.end()[1] == 0
    assert not [line for line in tcpdump(dns.bytes) if "10.0.2.3.53" not in line]
    assert not [line for line in tcpdump(web.bytes) if f"{WAN4}.80" not in line]
    assert len(tcpdump(web.bytes, "tcp[tcpflags] == tcp-syn")) == 2


@pytest.mark.core
def test_the_frames_of_all_threads(make_guest, runtime, capture):
    guest = make_guest("--threads=2", env=runtime)
    with capture(guest, "tcp") as it:
        guest.run(f"seq 40 | xargs -P 10 -I@ curl -s -o /dev/null http://{WAN4}/")
        it.end()
    assert len(tcpdump(it.bytes, "tcp[tcpflags] == tcp-syn")) == 40
    assert len(tcpdump(it.bytes, "tcp[tcpflags] == (tcp-syn|tcp-ack)")) == 40
    with capture(guest, "icmp") as again:  # and once more, after all were told to stop
        guest.run(["ping", "-c", "1", WAN4])
        again.wait_for_frames(2, 5)


def test_a_bad_filter_starts_nothing(lab, found):
    guest = found()
    path = lab.path("never")
    for words, text in ((("tcp", "port", "http s"), "syntax error"), (("host",), "syntax error"),
                        (("ip", "protochain", "6"), "filter 'ip protochain 6'")):
        done = lab.user_run([lab.binary, "capture", "-w", str(path), str(guest.forwarder), *words], env=guest.env)
        assert done.returncode == 1
        (line,) = said(done)
        assert line.startswith("slirp-forwarder: filter '") and text in line, line
        assert not path.exists()


def test_not_to_a_terminal(lab, found):
    guest = found()
    ours, theirs = pty.openpty()
    try:
        for words in ((), ("-w", "-")):
            done = lab.user_run([lab.binary, "capture", *words, str(guest.forwarder)], env=guest.env, capture_output=False,
                                stdout=theirs, stderr=subprocess.PIPE)
            assert done.returncode == 1
            (line,) = said(done)
            assert "-w FILE" in line and "wireshark" in line
        assert not select.select([ours], [], [], 0)[0]
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_reader_that_goes_away(lab, found):
    guest = found()
    command = f"{lab.binary} capture {guest.forwarder} | head -c 100 | wc -c"
    done = lab.user_run(["sh", "-c", command], env=guest.env)
    assert done.returncode == 0 and done.stdout.strip() == "100" and not done.stderr, done.stderr


@pytest.mark.core
def test_ends_with_the_instance(lab, found, capture):
    guest = found()
    path = lab.path("until-the-end")
    with capture(guest, "-w", str(path)) as it:
        guest.run(["ping", "-c", "1", WAN4])
        wait_for(lambda: len(tcpdump(path, "icmp")) == 2, what="the frames")
        guest.close()
        errors = it.process.stderr.read().decode()
        assert it.process.wait(10) == 0
        assert errors.endswith("; the instance has ended\n"), errors
    assert len(tcpdump(path, "icmp")) == 2
