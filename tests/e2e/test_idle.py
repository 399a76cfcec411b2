"""What the program costs while nothing happens."""

import pathlib
import subprocess
import time

import pytest

from lab import world
from lab.guest import children, wait_for
from lab.network import WAN4

pytestmark = pytest.mark.release


def own_processes(guest):
    """The program's processes: not the guest's command, which has another name."""
    def name(pid):
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()

    return [pid for pid in (guest.forwarder, *children(guest.forwarder)) if name(pid).startswith("slirp-forwarder")]


def switches(guest):
    total = 0
    for pid in own_processes(guest):
        for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
            lines = dict(line.split(":\t") for line in status.read_text().splitlines() if "ctxt_switches" in line)
            total += sum(int(value) for value in lines.values())
    return total


@pytest.mark.parametrize("used", [False, True], ids=["fresh", "after use"])
def test_no_wake_ups(make_guest, used):
    """Five seconds without one switch. The guest's kernel may still speak (MLD, neighbours), hence up to four windows."""
    guest = make_guest()
    if used:
        guest.run(f"curl -sS http://wan.lab.test/; ping -c 1 {WAN4}; dig +short far.lab.test")
    time.sleep(4)
    windows = []
    for _ in range(4):
        before = switches(guest)
        time.sleep(5)
        windows.append(switches(guest) - before)
        if windows[-1] == 0:
            return
    raise AssertionError(f"wake-ups in four windows of 5 s: {windows}")


LOAD = str(world.BIN / "bench_load")


def private_kilobytes(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(("Private_", "Swap:")))


def test_private_memory(make_guest):
    guest = make_guest()
    time.sleep(1)
    used = {pid: private_kilobytes(pid) for pid in own_processes(guest)}
    assert sum(used.values()) < 4096, used


def test_memory_comes_back(make_guest, bulk):
    """After a gigabyte in five hundred connections' time, idle flows hold no payload memory."""
    guest = make_guest()
    guest.run(f"curl -sS -o /dev/null http://{WAN4}/file/bulk", timeout=60)
    guest.run("for i in $(seq 200); do curl -sS -o /dev/null http://%s/ & done; wait" % WAN4, timeout=60)
    time.sleep(1)
    assert sum(private_kilobytes(pid) for pid in own_processes(guest)) < 16384


@pytest.fixture
def server(lab):
    process = lab.popen(lab.wan.command([LOAD, "serve", "--", WAN4]), stdout=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    yield
    lab.stop(process)


def test_what_connections_needed_goes_with_them(make_guest, server):
    """Tables, lists and sockets of 5,000 connections, which take 5 MiB: within a few seconds less than 1 MiB of it is left."""
    guest = make_guest()

    def used():
        return sum(private_kilobytes(pid) for pid in own_processes(guest))

    guest.run(f"curl -sS -o /dev/null http://{WAN4}/", timeout=60)
    time.sleep(1)
    before = used()
    hold = guest.popen(f"ulimit -n $(ulimit -Hn); exec {LOAD} hold --to={WAN4} --count=5000", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert hold.stdout.readline() == "ready\n"
    with_them = used()
    out, _ = hold.communicate(timeout=60)
    assert out.strip() == '{"open": 5000}'
    assert with_them > before + 3072, "the connections are not there"
    wait_for(lambda: used() < before + 1024, 10, f"memory to come back from {with_them} to about {before} KiB")
