"""A gigabyte down and up, over both IP versions and both MTUs; every byte is checked."""

import pytest

from lab.network import WAN4, WAN6

pytestmark = pytest.mark.core

URLS = pytest.mark.parametrize("base", [f"http://{WAN4}", f"http://[{WAN6}]"], ids=["v4", "v6"])


def download(guest, base):
    return guest.out(f"set -o pipefail; curl -sS --max-time 100 {base}/file/bulk | sha256sum", timeout=120).split()[0]


def upload(guest, base, path):
    return guest.out(f"curl -sS --max-time 100 -T {path} {base}/up", timeout=120).split()


@URLS
def test_download(guest, bulk, base):
    assert download(guest, base) == bulk[2]


@URLS
def test_upload(guest, bulk, base):
    path, size, digest = bulk
    assert upload(guest, base, path) == [digest, str(size)]


@URLS
def test_large_mtu(make_guest, bulk, base):
    path, size, digest = bulk
    guest = make_guest("--mtu", "65520")
    assert "mtu 65520" in guest.out("ip link show dev tap0")
    assert download(guest, base) == digest
    assert upload(guest, base, path) == [digest, str(size)]


@URLS
def test_small_mtu(make_guest, bulk, base):
    path, size, digest = bulk
    guest = make_guest("--mtu", "1280")
    assert "mtu 1280" in guest.out("ip link show dev tap0")
    assert upload(guest, base, path) == [digest, str(size)]


def test_both_directions_at_once(guest):
    """An echo of 64 MiB: neither direction may starve or deadlock the other."""
    out = guest.python(f"""
import hashlib, socket, threading
s = socket.create_connection(({WAN4!r}, 7))
data = bytes(range(256)) * 4096 * 64
def feed():
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)
threading.Thread(target=feed).start()
digest, length = hashlib.sha256(), 0
while got := s.recv(1 << 18):
    digest.update(got)
    length += len(got)
print(length == len(data), digest.digest() == hashlib.sha256(data).digest())
""", timeout=60)
    assert out.split() == ["True", "True"]


def test_without_guest_offloads(make_guest, bulk):
    """A guest whose kernel cuts packets and computes checksums itself must be understood as well."""
    path, size, digest = bulk
    guest = make_guest()
    guest.run("ethtool -K tap0 tx off tso off gso off gro off")
    assert upload(guest, f"http://{WAN4}", path) == [digest, str(size)]
    assert download(guest, f"http://[{WAN6}]") == digest
