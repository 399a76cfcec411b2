"""Ways around an egress policy by what an allowed name's owner answers, each with its outcome: his addresses open, and
nothing else does."""

import pytest

from lab.named_servers import CDN4, DENIED4, HOSTILE_DNS4
from test_policy_bypass import PASSES, REFUSED, tried

pytestmark = pytest.mark.core


@pytest.fixture(scope="module")
def hostile(servers):
    servers.start_hostile()


# What is asked for, and how; whether the denied address is open then.
WAYS = {
    "control: his own address": ("plain", "", PASSES),
    "control: a TTL of 0, which the floor makes longer": ("zero", "", PASSES),
    "control: a TTL that is negative": ("negative", "", PASSES),
    "control: the last one of 200 addresses, over TCP": ("many", "tcp=True", PASSES),
    "control: an IPv4 address in an IPv6 one, which is an address of his as any": ("mapped", "kind=28", PASSES),
    "records of the other sections": ("additional", "", REFUSED),
    "records of other names": ("others", "", REFUSED),
    "aliases in a circle, and an address beside them": ("loop", "", REFUSED),
    "twenty aliases, where sixteen are followed": ("chain", "", REFUSED),
    "an answer to another question": ("lying", "", REFUSED),
    "an address that is too short": ("short", "", REFUSED),
    "a name that does not exist": ("nothing", "", REFUSED),
}


@pytest.mark.parametrize("way", WAYS)
def test_answers(hostile, make_guest, way):
    name, options, outcome = WAYS[way]
    guest = make_guest("--dns", HOSTILE_DNS4, "--allow", "*.evil.test", "--deny-all")
    kind = 28 if "kind" in options else 1
    tcp = "True" if "tcp" in options else "False"
    expression = (f"[dns('10.0.2.3', question('{name}.evil.test', {kind}), tcp={tcp}), "
                  "exchange(DENIED, 80, b'GET /who HTTP/1.0\\r\\n\\r\\n')][1]")
    assert tried(guest, expression, DENIED=DENIED4) == (outcome == PASSES)
    if name in ("additional", "others"):
        assert tried(guest, "exchange(CDN, 80, b'GET /who HTTP/1.0\\r\\n\\r\\n')", CDN=CDN4), "what was asked for is open"


# The host's loopback, where the gateway leads to it: port 8099 has a server of the lab's.
@pytest.mark.parametrize("name", ["loopback", "gateway"])
def test_the_hosts_loopback(hostile, make_guest, name):
    rebind = f"[dns('10.0.2.3', question('{name}.evil.test')), exchange('10.0.2.2', 8099, b'')][1]"
    guest = make_guest("--dns", HOSTILE_DNS4, "--host-loopback", "--allow", "*.evil.test", "--deny-all")
    assert not tried(guest, rebind)
    allowed = make_guest("--dns", HOSTILE_DNS4, "--host-loopback", "--allow", "*.evil.test", "--allow", "10.0.2.2:8099",
                         "--deny-all")
    assert tried(allowed, rebind), "a rule about the gateway is what opens it"
