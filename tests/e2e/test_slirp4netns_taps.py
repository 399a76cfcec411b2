"""Called as slirp4netns: a TAP that somebody else has made, by its name in the namespace or by its descriptor."""

import array
import os
import re
import signal
import socket
import subprocess

import pytest

from lab import content
from lab.container import Container, start_ready, stop_ready
from lab.guest import said, wait_for
from lab.network import WAN4, WAN6

ADDRESSES = ("ip link set lo up; ip addr add 10.0.2.100/24 dev {tap}; ip link set {tap} up mtu {mtu}; "
             "ip route add default via 10.0.2.2")


@pytest.fixture
def container(lab):
    it = Container(lab)
    yield it
    it.kill()


@pytest.fixture
def start(lab):
    """start(*words) -> the process, once it is ready; as slirp4netns, or with `program`."""
    started = []

    def do(*words, fds=(), program=None):
        argv = [*(program or [lab.slirp4netns]), "--ready-fd={ready}", *(str(word) for word in words)]
        started.append(start_ready(lab, argv, fds))
        return started[-1]

    yield do
    for process in started:
        stop_ready(lab, process)


def works(container, six=False):
    assert container.out(f"curl -sS --max-time 5 http://{WAN4}/") == "hello from the lab\n"
    if six:
        assert container.out(f"curl -sS --max-time 5 'http://[{WAN6}]/'") == "hello from the lab\n"


def bulk_both_ways(lab, container, size=30 << 20):
    """A file from the wan and one to it, with their digests; and datagrams of several sizes."""
    path = lab.tmp / "tap-bulk"
    digest = content.write(path, size)
    path.chmod(0o644)
    out = container.out(f"curl -sS --max-time 60 http://{WAN4}/file/{path.name} | sha256sum", 70)
    assert out.split()[0] == digest
    out = container.out(f"nc -N {WAN4} 5003 < {path}", 70)
    assert out.split() == [digest, str(size)]
    path.unlink()
    assert container.python(f"""
import os, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(3)
s.connect(({WAN4!r}, 7))
for size in (1, 1200, 1472, 1473, 9000, 65000):
    data = os.urandom(size)
    s.send(data)
    assert s.recv(65535) == data, size
print('all')
""").strip() == "all"


# --- by its name ----------------------------------------------------------------------------------------------------


@pytest.fixture
def persistent(container):
    """As RootlessKit does it."""
    container.run("ip tuntap add name tap0 mode tap; ip link set tap0 address 02:50:00:00:00:01; ip link set tap0 up")
    return container


@pytest.mark.core
def test_attach_to_a_persistent_tap(lab, persistent, start):
    """RootlessKit's order: TAP up, program without -c, and the addresses once it is ready."""
    process = start("--mtu", "65520", "--disable-host-loopback", persistent.pid, "tap0")
    before = persistent.out("ip addr show dev tap0")
    assert "link/ether 02:50:00:00:00:01" in before and "mtu 1500 " in before and "inet " not in before
    assert "UP" in before and "NO-CARRIER" not in before
    persistent.run(ADDRESSES.format(tap="tap0", mtu=65520))
    works(persistent)
    bulk_both_ways(lab, persistent)
    lab.stop(process)
    assert process.returncode == 0
    assert "inet 10.0.2.100/24" in persistent.out("ip addr show dev tap0"), "the TAP stays, with its addresses"


@pytest.mark.core
def test_offloads_are_on(persistent, start):
    """What makes it fast: super-frames from the guest (IFF_VNET_HDR and TUNSETOFFLOAD worked)."""
    start(persistent.pid, "tap0")
    features = persistent.out("/usr/sbin/ethtool -k tap0")
    for feature in ("tcp-segmentation-offload", "tx-checksumming"):
        assert re.search(rf"^\s*{feature}: on", features, re.MULTILINE), features


def test_configured_addresses_are_kept(persistent, start):
    """It is attached to in its place: a move to another namespace and back would have flushed them."""
    persistent.run(ADDRESSES.format(tap="tap0", mtu=1400))
    persistent.run("ip addr add 10.0.2.77/24 dev tap0")
    start(persistent.pid, "tap0")
    after = persistent.out("ip addr show dev tap0")
    assert "inet 10.0.2.100/24" in after and "inet 10.0.2.77/24" in after and "mtu 1400 " in after
    works(persistent)


def test_configure(persistent, start):
    start("-c", "-6", "--mtu=9000", "--macaddress=52:54:00:12:34:56", persistent.pid, "tap0")
    after = persistent.out("ip addr show dev tap0")
    assert "mtu 9000 " in after and "link/ether 52:54:00:12:34:56" in after and "inet 10.0.2.100/24" in after
    works(persistent, six=True)


def test_again_and_again(lab, persistent, start):
    """One after the other; killed as well, as RootlessKit does it."""
    persistent.run(ADDRESSES.format(tap="tap0", mtu=1500))
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
        process = start(persistent.pid, "tap0")
        works(persistent)
        lab.stop(process, number)


def test_taken_by_another_program(lab, persistent, start):
    start(persistent.pid, "tap0")
    done = lab.user_run([lab.slirp4netns, str(persistent.pid), "tap0"])
    assert done.returncode == 1
    assert len(said(done)) == 1 and "tap0" in done.stderr and "EBUSY" in done.stderr


def test_not_a_tap(lab, container):
    container.run("ip link add tap0 type veth peer name tap1 && ip tuntap add name tun0 mode tun")
    for name in ("tap0", "tun0"):
        done = lab.user_run([lab.slirp4netns, str(container.pid), name])
        assert done.returncode == 1 and len(said(done)) == 1 and name in done.stderr


CONFINED = pytest.mark.parametrize("confined", [[], ["--enable-sandbox", "--enable-seccomp"]], ids=["free", "confined"])


@pytest.mark.core
@CONFINED
def test_ends_with_the_process(nothing_left, lab, start, confined):
    """The descriptor keeps the namespace alive, so the process is watched."""
    container = Container(lab)
    container.run("ip tuntap add name tap0 mode tap; ip link set tap0 up")
    process = start(*confined, container.pid, "tap0")
    container.kill()
    assert process.wait(5) == 0


@pytest.mark.core
def test_ends_with_the_process_of_a_path(nothing_left, lab, start):
    container = Container(lab)
    container.run("ip tuntap add name tap0 mode tap; ip link set tap0 up")
    process = start("--netns-type=path", f"/proc/{container.pid}/ns/net", "tap0")
    container.kill()
    assert process.wait(5) == 0


@pytest.mark.core
@CONFINED
def test_ends_with_the_file(nothing_left, lab, start, confined):
    """A namespace that is mounted on a file, and deleted as `ip netns delete` does it."""
    holder = Container(lab)
    path = lab.path("netns")
    other = lab.path("netns")
    holder.run(f"touch {path} {other}; mount --bind {path} {path}; mount --make-private {path}; unshare --net={path} "
               f"ip tuntap add name tap0 mode tap")
    enter = ["nsenter", f"--target={holder.pid}", "--user", "--mount", "--preserve-credentials", "--"]
    process = start(*confined, "--netns-type=path", path, "tap0", program=[*enter, lab.slirp4netns])
    holder.run(f"rm {other}")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    holder.run(f"umount --lazy {path}; umount --lazy {path}; rm {path}")
    assert process.wait(5) == 0
    holder.kill()


def test_native_attach_takes_it_too(lab, persistent, start):
    persistent.run("ip link set tap0 mtu 1400")
    process = start(persistent.pid, program=[lab.binary, "attach"])
    assert "mtu 1400 " in persistent.out("ip link show dev tap0"), "without --configure it is as it was"
    lab.stop(process)
    process = start("--configure", persistent.pid, program=[lab.binary, "attach"])
    assert "mtu 1500 " in persistent.out("ip link show dev tap0")
    assert "link/ether 02:50:00:00:00:01" in persistent.out("ip link show dev tap0")
    works(persistent, six=True)
    lab.stop(process)


# --- by its descriptor ----------------------------------------------------------------------------------------------

OPEN_TAP = """
import array, fcntl, os, socket, struct, sys
fd = os.open('/dev/net/tun', os.O_RDWR)
fcntl.ioctl(fd, 0x400454ca, struct.pack('16sH22x', b'tap5', {flags:#x}))
s = socket.socket(fileno={socket})
s.sendmsg([b'fd'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [fd]))])
"""
IFF_TAP, IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 2, 1, 0x1000, 0x4000


@pytest.fixture
def tap_descriptor(container):
    """tap_descriptor(flags) -> a descriptor of tap5 in the container, made in there and handed out."""
    fds = []

    def make(flags):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            code = OPEN_TAP.format(flags=flags, socket=theirs.fileno())
            maker = container.popen(["/usr/bin/python3", "-c", code], pass_fds=[theirs.fileno()])
            assert maker.wait(10) == 0
            _, ancillary, *_ = ours.recvmsg(10, socket.CMSG_SPACE(4))
            fds.append(array.array("i", ancillary[0][2])[0])
        return fds[-1]

    yield make
    for fd in fds:
        os.close(fd)


@pytest.mark.core
@pytest.mark.parametrize("flags", [IFF_TAP | IFF_NO_PI, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR], ids=["plain", "vnet"])
@pytest.mark.parametrize("mtu", [1500, 65520])
def test_tapfd(lab, container, tap_descriptor, start, flags, mtu):
    """Without the vnet header sums and segments are ours to make, and the guest's are its own; with it, neither."""
    fd = tap_descriptor(flags)
    start("--netns-type=tapfd", f"--mtu={mtu}", "-6", fd, fds=[fd])
    container.run(ADDRESSES.format(tap="tap5", mtu=mtu))
    wait_for(lambda: "fd00::" in container.out("ip -6 addr show dev tap5 -tentative"), 5, "an address from us")
    works(container, six=True)
    bulk_both_ways(lab, container)
    features = container.out("/usr/sbin/ethtool -k tap5")
    assert bool(re.search(r"tcp-segmentation-offload: on", features)) == bool(flags & IFF_VNET_HDR)
    errors = container.out("nstat -asz TcpInCsumErrors UdpInCsumErrors Udp6InCsumErrors")
    assert errors.count("CsumErrors") == 3 and not re.search(r"CsumErrors +[1-9]", errors), errors


@pytest.mark.core
def test_tapfd_serves_dhcp(container, tap_descriptor, start):
    fd = tap_descriptor(IFF_TAP | IFF_NO_PI)
    start("--netns-type=tapfd", fd, fds=[fd])
    container.run("ip link set tap5 up; timeout 25 udhcpc -i tap5 -n -q -f -t 5 -s /bin/true", timeout=30)


def test_tapfd_says_what_has_no_effect(lab, container, tap_descriptor, start):
    fd = tap_descriptor(IFF_TAP | IFF_NO_PI)
    process = start("-c", "--netns-type=tapfd", fd, "tap5", fds=[fd])
    assert "inet " not in container.out("ip addr show dev tap5")
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    lines = process.stderr.read().splitlines()
    assert len(lines) == 2 and "-c has no effect" in lines[0] and "too many arguments" in lines[1]


def test_tapfd_of_a_tun(lab, tap_descriptor):
    fd = tap_descriptor(IFF_TUN | IFF_NO_PI)
    done = lab.user_run([lab.slirp4netns, "--netns-type=tapfd", str(fd)], pass_fds=[fd])
    assert done.returncode == 1 and len(said(done)) == 1 and "IFF_NO_PI" in done.stderr


def test_tapfd_that_is_none(lab):
    with open("/etc/passwd", "rb") as file:
        done = lab.user_run([lab.slirp4netns, "--netns-type=tapfd", str(file.fileno())], pass_fds=[file.fileno()])
    assert done.returncode == 1 and len(said(done)) == 1 and "TAP" in done.stderr
