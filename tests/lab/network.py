"""The lab: namespaces, links, servers, and how to run things in them. Made inside the world (world.py).

    guest ~~ program ~~ host ──────── wan ───────── far     host  198.51.100.1   2001:db8:1::1
                          │            ╳ blackhole          wan   198.51.100.2   2001:db8:1::2   (a router)
                          │                                 far   203.0.113.2    2001:db8:2::2
                          └─ delay line ─ slow              slow  192.0.2.2      2001:db8:3::2   (40 ms, 100 Mbit/s)
                                           ╳ unreachable

The unreachable networks are behind the delay line because of a property of veth: without it, the ICMP error arrives
while connect() still holds its socket, where Linux only notes it for IPv6, and fails a second later.
"""

import contextlib
import os
import pathlib
import signal
import subprocess
import threading

from . import world
from .namespace import Namespace, address, connect

HOST4, HOST6 = "198.51.100.1", "2001:db8:1::1"
HOST4_SECOND, HOST6_SECOND = "198.51.100.10", "2001:db8:1::10"  # for --outbound-addr
WAN4, WAN6 = "198.51.100.2", "2001:db8:1::2"
WAN4_SECOND, WAN6_SECOND = "198.51.100.53", "2001:db8:1::53"  # second DNS server, and a second place to talk to
SILENT4 = "198.51.100.54"  # a DNS server that never answers
LATE4 = "198.51.100.55"  # and one that does so late, over TCP
FAR4, FAR6 = "203.0.113.2", "2001:db8:2::2"
UNREACHABLE4, UNREACHABLE6 = "192.0.2.70", "2001:db8:3:dead::1"
BLACKHOLE4 = "203.0.113.130"
SLOW4, SLOW6 = "192.0.2.2", "2001:db8:3::2"

SINGLE_USER = "single"  # one mapped uid only: no subordinate ids


class Lab:
    """Use as a context manager. All attributes are ready after __enter__."""

    def __init__(self):
        if not world.inside():
            raise world.LabError("run this inside the world: tests/lab/lab.py world -- ...")
        self.processes = []
        self.binary = os.environ["SLIRP_FORWARDER"]
        self.slirp4netns = str(world.BIN / "compat/slirp4netns")
        self.tmp = world.ROOT / "tmp"
        self.log = world.ROOT / "log"
        self.mode = "ranges" if world.mapped_ids() > 20000 else SINGLE_USER
        self._guard = threading.Lock()
        self._counter = 0

    def __enter__(self):
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    # --- topology ---------------------------------------------------------------------------------------------------

    def _build(self):
        self.host, self.wan, self.far, self.slow = (Namespace(name) for name in ("host", "wan", "far", "slow"))
        connect(self.host, "h-wan", self.wan, "w-host")
        connect(self.wan, "w-far", self.far, "f-wan")
        address(self.host, "h-wan", f"{HOST4}/24", f"{HOST6}/64", f"{HOST4_SECOND}/24",
                f"{HOST6_SECOND}/64 preferred_lft 0")  # deprecated: never the source by itself
        address(self.wan, "w-host", f"{WAN4}/24", f"{WAN6}/64", f"{WAN4_SECOND}/24", f"{SILENT4}/24", f"{LATE4}/24",
                f"{WAN6_SECOND}/64 preferred_lft 0")
        address(self.wan, "w-far", "203.0.113.1/26", "2001:db8:2::1/64")
        address(self.far, "f-wan", f"{FAR4}/26", f"{FAR6}/64")
        for router in (self.wan, self.slow):
            router.sysctl("net/ipv4/ip_forward", "1")
            router.sysctl("net/ipv6/conf/all/forwarding", "1")
        self.host.ip("route", "add", "default", "via", WAN4, "src", HOST4)
        self.host.ip("-6", "route", "add", "default", "via", WAN6, "src", HOST6)
        self.far.ip("route", "add", "default", "via", "203.0.113.1")
        self.far.ip("-6", "route", "add", "default", "via", "2001:db8:2::1")
        self.wan.ip("route", "add", "blackhole", "203.0.113.128/26")
        last_group = min(world.mapped_ids("gid") - 1, 2147483647)
        self.host.sysctl("net/ipv4/ping_group_range", f"0 {last_group}")
        # Ports that tests publish: no client in `host` may have one of them by chance.
        self.host.sysctl("net/ipv4/ip_local_reserved_ports", "4000-4100,5200-5400,7000-9999")
        if self.mode == SINGLE_USER:
            ids = [f"--map-user={world.USER_ID}", f"--map-group={world.USER_ID}"]
            self._nobody = self.popen(["unshare", "--user", *ids, "sh", "-c", "echo ready; exec sleep infinity"],
                                      stdout=subprocess.PIPE, start_new_session=True)
            self._nobody.stdout.readline()
        self._join_slow()
        self.start(self.wan, "wan")
        self.start(self.slow, "slow")
        self.start(self.far, "far")
        self.start(self.host, "host")

    def _join_slow(self, delay_ms=20, rate_mbit=100):
        program = world.BIN / "delay_line"
        if not program.exists():
            raise world.LabError("the delay line is not built: build the target delay_line, or set DELAY_LINE to its path")
        process = self.popen(
            [program, f"--left={self.host.path},h-slow", f"--right={self.slow.path},s-host", f"--delay-ms={delay_ms}",
             f"--rate-mbit={rate_mbit}"], stdout=subprocess.PIPE, start_new_session=True)
        if process.stdout.readline() != "ready\n":
            raise world.LabError("the delay line did not start")
        for namespace, interface, four, six in ((self.host, "h-slow", "192.0.2.1", "2001:db8:3::1"),
                                                (self.slow, "s-host", SLOW4, SLOW6)):
            namespace.ip("link", "set", interface, "up")
            address(namespace, interface, f"{four}/26", f"{six}/64")
        self.slow.ip("route", "add", "default", "via", "192.0.2.1")
        self.host.ip("route", "add", "192.0.2.64/26", "via", SLOW4)
        self.host.ip("-6", "route", "add", "2001:db8:3:dead::/64", "via", SLOW6)
        self.slow.ip("route", "add", "unreachable", "192.0.2.64/26")
        self.slow.ip("-6", "route", "add", "unreachable", "2001:db8:3:dead::/64")

    # --- processes --------------------------------------------------------------------------------------------------

    def start(self, namespace, role, *arguments):
        """A server process (servers.py) with this role in this namespace; returns once it listens."""
        # A session of its own: Ctrl-C on the terminal is for pytest or the shell, which then end the lab in order.
        process = self.popen(namespace.command(["/usr/bin/python3", "-m", "lab.servers", role, *arguments]),
                             stdout=subprocess.PIPE, start_new_session=True)
        if process.stdout.readline() != "ready\n":
            raise world.LabError(f"the servers '{role}' did not start (status {process.poll()})")
        return process

    def popen(self, argv, **options):
        """Start a command as the world's root; it dies with the lab."""
        options.setdefault("text", True)
        process = subprocess.Popen([str(word) for word in argv], preexec_fn=world.die_with_parent, **options)
        with self._guard:
            self.processes.append(process)
        return process

    def as_user(self, argv, namespace=None):
        """The command line that runs `argv` as the unprivileged user, by default in `host`."""
        namespace = namespace or self.host
        enter = ["nsenter", f"--net={namespace.path}"]
        if self.mode == SINGLE_USER:
            # One uid only. A user namespace below the lab's has no capability over the lab; one for all commands,
            # so that they are the same user to each other. Executing as a uid other than 0 drops what setns gave.
            drop = ["nsenter", f"--user=/proc/{self._nobody.pid}/ns/user", "--preserve-credentials", "--"]
        else:
            drop = ["setpriv", f"--reuid={world.USER_ID}", f"--regid={world.USER_ID}", "--clear-groups", "--inh-caps=-all", "--"]
        return [*enter, "--", *drop, *(str(word) for word in argv)]

    def user_environment(self, extra=None):
        env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "SUDO", "PYTHON"))}
        env.update(HOME=str(world.HOME), USER=world.USER, LOGNAME=world.USER, LANG="C.UTF-8", SHELL="/bin/sh")
        env.update(extra or {})
        return env

    def user_popen(self, argv, env=None, namespace=None, **options):
        return self.popen(self.as_user(argv, namespace), env=self.user_environment(env), **options)

    def user_run(self, argv, timeout=30, check=False, env=None, namespace=None, **options):
        """Run to the end as the unprivileged user, with captured output."""
        options.setdefault("capture_output", True)
        return subprocess.run(self.as_user(argv, namespace), timeout=timeout, check=check, text=True,
                              env=self.user_environment(env), **options)

    def enter_as_root(self, pid, *kinds):
        """The command line that enters namespaces (user, mount, net) of the user's process `pid`, as root there."""
        root = ["--preserve-credentials"] if self.mode == SINGLE_USER else ["--setuid=0", "--setgid=0"]
        return ["nsenter", f"--target={pid}", *(f"--{kind}" for kind in kinds), *root, "--"]

    def stop(self, process, number=signal.SIGTERM, timeout=10):
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()
        with self._guard:
            if process in self.processes:
                self.processes.remove(process)

    def close(self):
        for process in list(reversed(self.processes)):
            self.stop(process, timeout=3)

    # --- small helps ------------------------------------------------------------------------------------------------

    def path(self, stem):
        """A fresh path in a directory that the unprivileged user may write to."""
        with self._guard:
            self._counter += 1
            return self.tmp / f"{stem}-{self._counter}"

    @contextlib.contextmanager
    def resolv_conf(self, text):
        """The world's /etc/resolv.conf for a time; written as most tools do, in place."""
        path = pathlib.Path("/etc/resolv.conf")
        before = path.read_text()
        path.write_text(text)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)
            path.write_text(before)

    def dns_log(self):
        path = self.log / "dns"
        return path.read_text().splitlines() if path.exists() else []
