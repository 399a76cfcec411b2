"""ping and traceroute, as their users know them."""

import re

import pytest

from lab.network import FAR4, FAR6, SINGLE_USER, UNREACHABLE4, WAN4, WAN6


@pytest.mark.core
@pytest.mark.parametrize("target", [WAN4, WAN6, FAR4, FAR6, "far.lab.test"])
def test_ping_outside(guest, target):
    out = guest.out(f"ping -c 3 -i 0.2 -W 3 {target}")
    assert "3 received, 0% packet loss" in out


@pytest.mark.core
@pytest.mark.parametrize("target", ["10.0.2.2", "10.0.2.3", "fd00::2", "fd00::3"])
def test_ping_gateway(guest, target):
    out = guest.out(f"ping -c 3 -i 0.2 -W 3 {target}")
    assert "3 received, 0% packet loss" in out
    times = [float(value) for value in re.findall(r"time=([\d.]+)", out)]
    assert min(times) < 20


@pytest.mark.core
@pytest.mark.parametrize("target", [WAN4, WAN6])
@pytest.mark.parametrize("size", [0, 1400, 8000])
def test_ping_sizes(guest, target, size):
    """8000 bytes are fragments both ways; ping itself compares the bytes that come back."""
    out = guest.out(f"ping -c 2 -i 0.2 -W 3 -s {size} {target}")
    assert "2 received" in out
    assert "wrong data" not in out


@pytest.mark.core
def test_ping_unreachable(guest):
    out = guest.run(f"ping -c 1 -W 3 {UNREACHABLE4}", check=False).stdout
    assert "Unreachable" in out


@pytest.mark.core
def test_ping_with_short_ttl(guest):
    out = guest.run(f"ping -c 1 -W 3 -t 2 {FAR4}", check=False).stdout
    assert re.search(r"From \S+ icmp_seq=1 Time to live exceeded", out)


@pytest.mark.parametrize("method", ["", "-I"], ids=["udp", "icmp"])
@pytest.mark.parametrize("router,target", [(WAN4, FAR4), (WAN6, FAR6)], ids=["v4", "v6"])
def test_traceroute(guest, method, router, target):
    """The router between us and the target is seen, before the target itself."""
    out = guest.out(f"traceroute -n -q 2 -w 3 -m 6 {method} {target}", timeout=60)
    hops = [line.split()[1] for line in out.splitlines() if re.match(r"\s*\d+ ", line)]
    assert router in hops and hops[-1] == target, out
    assert hops.index(router) == len(hops) - 2, out


@pytest.mark.core
def test_ping_forbidden_is_said_once(lab, make_guest):
    """Where ping_group_range excludes us, echo fails with one clear warning and not one per packet."""
    if lab.mode == SINGLE_USER:
        pytest.skip("with one group id mapped there is no range that excludes it")
    before = lab.host.run(["cat", "/proc/sys/net/ipv4/ping_group_range"], capture_output=True).stdout
    lab.host.sysctl("net/ipv4/ping_group_range", "1 0")
    try:
        guest = make_guest()
        done = guest.run(f"ping -c 3 -i 0.2 -W 1 {WAN4}; ping -c 2 -i 0.2 -W 1 {WAN6}", check=False)
        assert ", 0% packet loss" not in done.stdout
        assert sum("ping_group_range" in line for line in guest.messages().splitlines()) == 1
        assert "3 received" in guest.out("ping -c 3 -i 0.2 -W 3 10.0.2.2"), "the gateway answers without the host"
    finally:
        lab.host.sysctl("net/ipv4/ping_group_range", before.strip())
