"""What the program costs while nothing happens."""

import pathlib
import time

import pytest

from lab.guest import children
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
