"""Network namespaces of the lab and the commands that run in them."""

import pathlib
import subprocess

_SYSCTLS = {
    "net/ipv4/tcp_congestion_control": "cubic",
    # Many short connections from one address: do not run out of ports because of TIME-WAIT.
    "net/ipv4/tcp_tw_reuse": "1",
    "net/ipv4/ip_local_port_range": "1024 65535",
    # Addresses work at once; duplicates cannot be in a world that we made.
    "net/ipv6/conf/all/accept_dad": "0",
    "net/ipv6/conf/default/accept_dad": "0",
    # The lab provokes ICMP errors on purpose and counts them.
    "net/ipv4/icmp_ratelimit": "0",
    "net/ipv6/icmp/ratelimit": "0",
}


class Namespace:
    """One network namespace, kept by a mount in the world's /run/netns."""

    def __init__(self, name):
        self.name = name
        self.path = pathlib.Path("/run/netns") / name
        self.path.touch()
        subprocess.run(["unshare", f"--net={self.path}", "true"], check=True)
        self.ip("link", "set", "lo", "up")
        for key, value in _SYSCTLS.items():
            self.sysctl(key, value)

    def command(self, argv):
        return ["nsenter", f"--net={self.path}", "--", *argv]

    def run(self, argv, **options):
        options.setdefault("check", True)
        return subprocess.run(self.command(argv), text=True, **options)

    def ip(self, *words):
        subprocess.run(["ip", "-n", self.name, *words], check=True)

    def sysctl(self, key, value):
        # tee, because /proc/sys/net shows the namespace of the process that opens it
        self.run(["tee", f"/proc/sys/{key}"], input=value, stdout=subprocess.DEVNULL)


def connect(left, left_interface, right, right_interface):
    """A veth pair between two namespaces, with the offloads that the kernel gives by default."""
    left.ip("link", "add", left_interface, "type", "veth", "peer", "name", right_interface, "netns", right.name)
    for namespace, interface in ((left, left_interface), (right, right_interface)):
        namespace.ip("link", "set", interface, "up")


def address(namespace, interface, *addresses):
    for value in addresses:
        value, _, extra = value.partition(" ")
        extra = extra.split() + (["nodad"] if ":" in value else [])
        namespace.ip("addr", "add", value, "dev", interface, *extra)
