"""The three DHCP clients that people have, on an interface without any configuration."""

import ipaddress
import re

import pytest

from lab.network import WAN4

pytestmark = pytest.mark.core


@pytest.fixture
def bare(make_guest):
    """A guest whose tap0 has lost its configuration, with writable places for the clients' files."""
    guest = make_guest()
    guest.run("mount -t tmpfs tmpfs /run && mkdir -p /run/NetworkManager && mount -t tmpfs tmpfs /var/lib/dhcp && "
              "ip route flush dev tap0 && ip addr flush dev tap0 && ip -4 addr show dev tap0")
    assert "inet " not in guest.out("ip -4 addr show dev tap0")
    return guest


def check_network(guest):
    """Address from the pool, default route, and packets that come back."""
    found = re.search(r"inet (\S+)/24", guest.out("ip -4 addr show dev tap0"))
    assert found, guest.out("ip addr")
    address = ipaddress.ip_address(found[1])
    assert ipaddress.ip_address("10.0.2.15") <= address <= ipaddress.ip_address("10.0.2.100")
    assert "default via 10.0.2.2 dev tap0" in guest.out("ip -4 route")
    assert guest.out(f"curl -sS --max-time 5 http://{WAN4}/") == "hello from the lab\n"
    return address


def test_dhclient(bare):
    done = bare.run("timeout 25 dhclient -v -1 -lf /run/leases -pf /run/dhclient.pid tap0", timeout=40)
    assert "DHCPACK" in done.stderr
    assert check_network(bare) == ipaddress.ip_address("10.0.2.15")
    lease = bare.out("cat /run/leases")
    assert "option routers 10.0.2.2;" in lease
    assert "option domain-name-servers 10.0.2.3;" in lease
    assert "option interface-mtu 1500;" in lease
    assert "lab.test" in re.search(r"option domain-(search|name) .*", lease)[0]
    assert "option dhcp-server-identifier 10.0.2.2;" in lease
    # A renewal asks for the same address again; a release gives it back.
    bare.run("kill $(cat /run/dhclient.pid); sleep 0.3; timeout 25 dhclient -v -1 -lf /run/leases -pf /run/dhclient.pid tap0", 40)
    assert check_network(bare) == ipaddress.ip_address("10.0.2.15")
    bare.run("timeout 25 dhclient -r -lf /run/leases -pf /run/dhclient.pid tap0", 40, check=False)
    assert "inet " not in bare.out("ip -4 addr show dev tap0")


def test_udhcpc(bare):
    bare.run("timeout 25 udhcpc -i tap0 -n -q -f -t 5", timeout=40)
    check_network(bare)


def test_dhcpcd(bare, ranges):
    """It changes to a user of its own, whose group is nogroup: so it needs mapped ids up to 65534."""
    if sum(int(line.split()[2]) for line in bare.out("cat /proc/self/gid_map").splitlines()) <= 65534:
        pytest.skip("dhcpcd becomes group 65534; a lab without root has fewer ids to give")
    bare.run("mkdir -p /run/dhcpcd && mount -t tmpfs tmpfs /var/lib/dhcpcd 2>/dev/null; "
             "timeout 30 dhcpcd -4 -1 -t 20 -C resolv.conf tap0", timeout=45)
    check_network(bare)


def test_mtu_and_other_network(make_guest):
    guest = make_guest("--cidr", "192.168.77.0/24", "--mtu", "9000")
    guest.run("mount -t tmpfs tmpfs /run && ip addr flush dev tap0")
    guest.run("timeout 25 dhclient -1 -lf /run/leases -pf /run/dhclient.pid tap0", timeout=40)
    lease = guest.out("cat /run/leases")
    assert "fixed-address 192.168.77.15;" in lease
    assert "option routers 192.168.77.2;" in lease
    assert "option interface-mtu 9000;" in lease


def test_inform(bare):
    """A statically configured guest asks for the options alone (RFC 2131 section 4.4.3)."""
    out = bare.python("""
import os, socket, struct, subprocess
import fcntl
probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
mac = fcntl.ioctl(probe.fileno(), 0x8927, struct.pack('256s', b'tap0'))[18:24]
subprocess.run('ip addr add 10.0.2.50/24 dev tap0', shell=True, check=True)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.bind(('10.0.2.50', 68))
message = struct.pack('!4BIHH', 1, 1, 6, 0, 0x1234, 0, 0) + socket.inet_aton('10.0.2.50') + bytes(12)
message += mac + bytes(10) + bytes(192) + bytes([99, 130, 83, 99, 53, 1, 8, 55, 4, 1, 3, 6, 26, 255])
s.sendto(message, ('10.0.2.2', 67))
reply = s.recv(2000)
options, at = {}, 240
while reply[at] != 255:
    if reply[at] == 0:
        at += 1
        continue
    options[reply[at]] = reply[at + 2 : at + 2 + reply[at + 1]]
    at += 2 + reply[at + 1]
print(options[53][0], reply[16:20].hex(), socket.inet_ntoa(options[3]), socket.inet_ntoa(options[6]), 51 in options)
""")
    assert out.split() == ["5", "00000000", "10.0.2.2", "10.0.2.3", "False"]
