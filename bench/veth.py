"""The limit: a network as root makes it, with veth and masquerade by nftables. No program forwards; the kernel does.

    guest ── veth ── its own "host", which masquerades ── veth ── wan

The "host" is a namespace of this contender's own, as far from wan as the lab's `host` is: connection tracking, which comes
with masquerade, would slow every other contender if it ran in `host`.
"""

import itertools
import shutil
import subprocess

from lab.namespace import Namespace, address, connect

from contender import Native

_NUMBERS = itertools.count(1)
RULES = """
table inet outward {
  chain postrouting {
    type nat hook postrouting priority 100;
    oifname "outside" masquerade;
  }
}
"""


class Veth(Native):
    """A rootful namespace: veth, a route, and masquerade."""

    name = "veth"
    needs_mtu = True

    @classmethod
    def missing(cls):
        return None if shutil.which("nft") else "nft is not installed"

    def __enter__(self):
        number = next(_NUMBERS) % 250
        wan = self.lab.wan
        self.guest, self.router = Namespace(f"veth-guest-{number}"), Namespace(f"veth-host-{number}")
        connect(self.router, "inside", self.guest, "eth0")
        connect(self.router, "outside", wan, f"w-veth-{number}")
        for namespace, interface in ((self.router, "inside"), (self.guest, "eth0")):
            namespace.ip("link", "set", interface, "mtu", str(self.mtu or 1500))
        address(self.router, "inside", "10.0.3.1/24", "fd00:3::1/64")
        address(self.guest, "eth0", "10.0.3.2/24", "fd00:3::2/64")
        address(self.router, "outside", f"10.77.{number}.1/24", f"fd77:{number}::1/64")
        address(wan, f"w-veth-{number}", f"10.77.{number}.2/24", f"fd77:{number}::2/64")
        self.router.sysctl("net/ipv4/ip_forward", "1")
        self.router.sysctl("net/ipv6/conf/all/forwarding", "1")
        for namespace, four, six in ((self.router, f"10.77.{number}.2", f"fd77:{number}::2"), (self.guest, "10.0.3.1", "fd00:3::1")):
            namespace.ip("route", "add", "default", "via", four)
            namespace.ip("-6", "route", "add", "default", "via", six)
        self.router.run(["nft", "-f", "-"], input=RULES, capture_output=True)
        return self

    def __exit__(self, *_):
        for namespace in (getattr(self, "guest", None), getattr(self, "router", None)):
            if namespace:
                subprocess.run(["ip", "netns", "del", namespace.name], check=False)

    def command(self, argv):
        return self.lab.as_user(argv, self.guest)
