"""The main job, shown in the lab: `make demo`. Every line is one command in a new rootless namespace."""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))

from lab.network import Lab, WAN4, WAN6  # noqa: E402

UDP_ECHO = "import socket; u = socket.socket({family}, socket.SOCK_DGRAM); u.settimeout(5); " \
           "u.connect(({address!r}, 7)); u.send(b'echo over UDP'); print(u.recv(2000).decode())"

STEPS = [
    ("The inside: its own user, interface, addresses and resolver",
     "id -un; ip -br addr show dev tap0; cat /etc/resolv.conf", ["root", "tap0"]),
    ("TCP by name over IPv4", "curl -sS -4 http://wan.lab.test/", ["hello from the lab"]),
    ("TCP by name over IPv6", "curl -sS -6 http://wan.lab.test/", ["hello from the lab"]),
    ("DNS over UDP", "dig +short +notcp A far.lab.test", ["203.0.113.2"]),
    ("DNS over TCP", "dig +short +tcp AAAA far.lab.test", ["2001:db8:2::2"]),
    ("UDP over IPv4", ["/usr/bin/python3", "-c", UDP_ECHO.format(family="socket.AF_INET", address=WAN4)], ["echo over UDP"]),
    ("UDP over IPv6", ["/usr/bin/python3", "-c", UDP_ECHO.format(family="socket.AF_INET6", address=WAN6)], ["echo over UDP"]),
    ("ping over IPv4, two hops away", "ping -4 -c 2 -i 0.2 far.lab.test", ["2 received"]),
    ("ping over IPv6, two hops away", "ping -6 -c 2 -i 0.2 far.lab.test", ["2 received"]),
]


def show(lab, title, command, expected):
    argv = ["sh", "-c", command] if isinstance(command, str) else command
    done = lab.user_run([lab.binary, "run", "--", *argv], timeout=30)
    good = done.returncode == 0 and all(word in done.stdout for word in expected)
    print(f"{'ok  ' if good else 'FAIL'} {title}")
    print(f"     $ slirp-forwarder run -- {command if isinstance(command, str) else 'python3 -c ...'}")
    for line in (done.stdout if good else done.stdout + done.stderr).splitlines():
        print(f"       {line}")
    return good


def main():
    if not os.access(os.environ["SLIRP_FORWARDER"], os.X_OK):
        sys.exit("demo: slirp-forwarder is not built: run 'make build'")
    with Lab() as lab:
        print(f"The program runs as '{lab.user_run(['id', '-un']).stdout.strip()}', without privileges; the servers are the lab's own.\n")
        failed = [title for title, *rest in STEPS if not show(lab, title, *rest)]
    if failed:
        sys.exit(f"demo: {len(failed)} of {len(STEPS)} steps failed: {'; '.join(failed)}")
    print(f"\nAll {len(STEPS)} steps worked. Nothing left this machine: the servers are in network namespaces beside it.")


if __name__ == "__main__":
    main()
