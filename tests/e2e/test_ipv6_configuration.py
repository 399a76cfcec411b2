"""Router advertisements, stateless DHCPv6, and life without IPv6."""

import re

import pytest

from lab.guest import wait_for
from lab.network import WAN4, WAN6

pytestmark = pytest.mark.core


def test_slaac(make_guest):
    """Without its configured address the guest makes one from the advertised prefix, and a route to the router."""
    guest = make_guest()
    guest.run("ip -6 addr flush dev tap0 scope global; ip -6 route flush dev tap0; ip link set tap0 down; ip link set tap0 up")
    wait_for(lambda: re.search(r"inet6 fd00::\S+/64 scope global dynamic", guest.out("ip -6 addr show dev tap0")), 10,
             "an address of the prefix", every=0.2)
    wait_for(lambda: "proto ra" in guest.out("ip -6 route show default"), 5, "the router's route", every=0.2)
    wait_for(lambda: "tentative" not in guest.out("ip -6 addr show dev tap0"), 5, "the end of DAD", every=0.2)
    assert guest.out(f"curl -sS --max-time 5 'http://[{WAN6}]/'") == "hello from the lab\n"


def test_advertisement(make_guest):
    """Prefix, MTU, RDNSS and DNSSL (RFC 4861, RFC 8106), as an independent parser reads them."""
    guest = make_guest("--mtu", "1400")
    out = guest.python("""
from scapy.all import *
conf.verb = 0
conf.iface = 'tap0'
mac = get_if_hwaddr('tap0')
link_local = [a for a, scope, dev in in6_getifaddr() if dev == 'tap0' and a.startswith('fe80')][0]
request = (Ether(src=mac, dst='33:33:00:00:00:02') / IPv6(src=link_local, dst='ff02::2', hlim=255) / ICMPv6ND_RS()
           / ICMPv6NDOptSrcLLAddr(lladdr=mac))
sniffer = AsyncSniffer(iface='tap0', filter='icmp6', lfilter=lambda p: ICMPv6ND_RA in p, count=1, timeout=5)
sniffer.start()
time.sleep(0.5)
sendp(request, iface='tap0')
sniffer.join()
a = sniffer.results[0]
print(a[IPv6].hlim, a[ICMPv6ND_RA].O, a[ICMPv6ND_RA].routerlifetime > 0)
print(a[ICMPv6NDOptPrefixInfo].prefix, a[ICMPv6NDOptPrefixInfo].prefixlen, a[ICMPv6NDOptPrefixInfo].A)
print(a[ICMPv6NDOptMTU].mtu, a[ICMPv6NDOptRDNSS].dns[0], a[ICMPv6NDOptDNSSL].searchlist[0].rstrip('.'))
""", timeout=40)
    assert out.splitlines() == ["255 1 True", "fd00:: 64 1", "1400 fd00::3 lab.test"]


def test_stateless_dhcpv6(make_guest):
    guest = make_guest()
    script = guest.lab.path("dhclient6-script")
    script.write_text("#!/bin/sh\nenv > /run/answer.$reason\nexit 0\n")
    script.chmod(0o755)
    held = script.read_text()
    guest.run("mount -t tmpfs tmpfs /run")
    guest.run(f"printf '%s' '{held}' > /run/script; chmod +x /run/script; "
              "timeout 30 dhclient -6 -S -1 -v -sf /run/script -lf /run/leases6 -pf /run/dhclient6.pid tap0", timeout=45)
    answer = guest.out("cat /run/answer.*")
    assert "new_dhcp6_name_servers=fd00::3" in answer
    assert "new_dhcp6_domain_search=lab.test" in answer


def test_address_resolution_for_any_neighbour(guest):
    """`route add default tap0` puts every address on the link; somebody has to answer for them."""
    guest.run("ip route add 203.0.113.0/26 dev tap0 && ip -6 route add 2001:db8:2::/64 dev tap0")
    assert "1 received" in guest.out("ping -c 1 -W 3 203.0.113.2")
    assert "1 received" in guest.out("ping -c 1 -W 3 2001:db8:2::2")
    guest.run("ip route del 203.0.113.0/26 dev tap0; ip -6 route del 2001:db8:2::/64 dev tap0")


def test_no_answer_for_own_addresses(guest):
    """Duplicate address detection: an address that the guest gives itself must not seem taken."""
    guest.run("ip -6 addr add fd00::77/64 dev tap0")
    wait_for(lambda: "tentative" not in guest.out("ip -6 addr show dev tap0"), 5, "the end of DAD", every=0.2)
    assert "dadfailed" not in guest.out("ip -6 addr show dev tap0")
    guest.run("ip -6 addr del fd00::77/64 dev tap0")


def test_no_ipv6(make_guest):
    guest = make_guest("--no-ipv6")
    assert "inet6" not in guest.out("ip addr show dev tap0")
    assert guest.out("cat /etc/resolv.conf").count("nameserver") == 1
    assert guest.run(f"curl -sS --max-time 5 'http://[{WAN6}]/'", check=False).returncode != 0
    assert guest.out(f"curl -sS --max-time 5 http://{WAN4}/") == "hello from the lab\n"


def test_other_prefix(make_guest):
    guest = make_guest("--cidr6", "fd12:3456:789a:1::/64")
    assert "fd12:3456:789a:1:" in guest.out("ip -6 addr show dev tap0")
    assert guest.out(f"curl -sS --max-time 5 'http://[{WAN6}]/'") == "hello from the lab\n"
    assert guest.out("dig @fd12:3456:789a:1::3 +short wan.lab.test") == "198.51.100.2\n"


def test_from_a_link_local_address(make_guest):
    """It cannot lead out of the link, which the guest is told at once (RFC 4443 section 3.1)."""
    guest = make_guest()
    said = guest.python("""
import socket, subprocess, time
text = subprocess.run(['ip', '-6', '-o', 'addr', 'show', 'dev', 'tap0', 'scope', 'link'], capture_output=True, text=True).stdout
s = socket.socket(socket.AF_INET6)
s.settimeout(5)
s.bind((text.split()[3].split('/')[0], 0, 0, socket.if_nametoindex('tap0')))
start = time.monotonic()
try:
    s.connect(('2001:db8:1::2', 80))
except OSError as error:
    print(error.strerror, time.monotonic() - start < 1)
""")
    assert said == "No route to host True\n"
