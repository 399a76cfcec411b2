"""Who takes part in the benchmarks: each gives a namespace a network (contender.py has what they share).

`native` is the same client and server without a namespace, `veth` the limit that a privileged network reaches. All but
this program are Debian's.
"""

import os
import platform
import subprocess

from lab.guest import Guest, children

from contender import Native, process_name
from peers import Pasta, RootlessKit, Slirp4netns
from veth import Veth


class Forwarder(Native):
    """This program, through the TAP."""

    name = "slirp-forwarder"
    needs_mtu = True
    publish = "--publish"

    def __init__(self, lab, mtu=None, port=None):
        super().__init__(lab, mtu, port)
        options = ["--mtu", str(mtu)] if mtu else []
        if port:
            options += [self.publish, f"127.0.0.1:{port}:{port}"]
        self.guest = Guest(lab, *options)

    def __enter__(self):
        self.guest.__enter__()
        return self

    def __exit__(self, *_):
        self.guest.close()

    def command(self, argv):
        return self.guest.command(argv)

    def pids(self):
        return [self.guest.forwarder, *(pid for pid in children(self.guest.forwarder) if process_name(pid).startswith("slirp-forw"))]


class ForwarderLoopback(Forwarder):
    """This program, past the TAP, to the namespace's own loopback."""

    name = "slirp-forwarder loopback"
    needs_mtu = False
    publish = "--publish-loopback"

    @classmethod
    def missing(cls):
        text = subprocess.run([os.environ["SLIRP_FORWARDER"], "run", "--help"], capture_output=True, text=True, check=True).stdout
        return None if cls.publish in text else f"the program has no {cls.publish} yet"


class ForwarderWatched(Forwarder):
    """This program, with an egress policy and a flow log."""

    name = "slirp-forwarder watched"
    rules = 10000

    def __init__(self, lab, mtu=None, port=None):
        super().__init__(lab, mtu, port)
        names = [f"deny name{number}.example.test:443" for number in range(self.rules // 2)]
        networks = [f"deny 10.{number // 256}.{number % 256}.0/24" for number in range(self.rules - len(names) - 1)]
        policy, self.flow_log = lab.path("policy"), lab.path("flow-log")
        lines = "".join(f'  "{rule}",\n' for rule in [*names, *networks, "allow 0.0.0.0/0"])
        policy.write_text(f'default = "deny"\nrules = [\n{lines}]\n')
        policy.chmod(0o644)
        self.guest = Guest(lab, *self.guest.options, "--policy", policy, "--flow-log", self.flow_log)

    def __exit__(self, *_):
        super().__exit__()
        self.flow_log.unlink(missing_ok=True)

    @classmethod
    def missing(cls):
        text = subprocess.run([os.environ["SLIRP_FORWARDER"], "run", "--help"], capture_output=True, text=True, check=True).stdout
        return None if "--flow-log" in text else "the program has no --flow-log yet"


ALL = {contender.name: contender for contender in (Native, Veth, Forwarder, ForwarderLoopback, ForwarderWatched, Slirp4netns, RootlessKit, Pasta)}


def present(names):
    """Those of `names` that can take part; one line for each that cannot."""
    found = []
    for name in names:
        why = ALL[name].missing()
        if why:
            print(f"{name}: left out: {why}", flush=True)
        else:
            found.append(name)
    return found


def versions():
    def first_line(argv):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return done.stdout.splitlines()[0] if done.returncode == 0 and done.stdout else None

    packages = ("slirp4netns", "passt", "rootlesskit", "nginx", "wrk", "iperf3")
    return {"slirp-forwarder": first_line([os.environ["SLIRP_FORWARDER"], "--version"]), "kernel": platform.release(),
            "cpus": os.cpu_count(), **{name: first_line(["dpkg-query", "-W", "-f=${Version}\n", name]) for name in packages}}
