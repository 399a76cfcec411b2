"""The peers, as Debian has them: slirp4netns, pasta, and RootlessKit with its builtin port driver."""

import json
import socket
import subprocess

from lab.guest import children, wait_for

from contender import Native


class Attached(Native):
    """A peer that attaches to a namespace which `unshare` made."""

    is_peer = True

    def __enter__(self):
        self.log = self.lab.path("peer-log")
        with self._stopped_on_failure():
            self.holder = self._start_holder()
            self.process = self._start(self.peer_command())
            wait_for(self._up, 10, self.peer_command()[0])
            self.configure()
        return self

    def _stopped_on_failure(self):
        return _OnFailure(self.__exit__)

    def _start_holder(self):
        pid_file, script = self._holder_script()
        holder = self.lab.user_popen(["unshare", "-rmn", "sh", "-c", script])
        wait_for(pid_file.exists, 10, "the namespace")
        self.pid = int(pid_file.read_text())
        return holder

    def _holder_script(self):
        pid_file = self.lab.path("bench-pid")
        return pid_file, f"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep infinity"

    def _start(self, command):
        # In a session of its own, as ours is: the kernel shares the CPUs out among sessions (sched_autogroup_enabled), and
        # who is in the session of the clients and servers is placed better than who is not.
        with open(self.log, "w", encoding="utf-8") as log:
            return self.lab.user_popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def _up(self):
        if self.process.poll() is not None:
            raise OSError(f"it ended with status {self.process.returncode}: {self.log.read_text().strip()}")
        return "default" in self.run(["ip", "-4", "route"], 5)

    def configure(self):
        """What is left to do once its network is up."""

    def __exit__(self, *_):
        for process in (getattr(self, "process", None), getattr(self, "holder", None)):
            if process:
                self.lab.stop(process)

    def command(self, argv):
        return [*self.lab.enter_as_root(self.pid, "user", "net"), *argv]

    def pids(self):
        return [self.process.pid, *children(self.process.pid)]


class Slirp4netns(Attached):
    """Published through its API socket."""

    name = "slirp4netns"
    binary = "slirp4netns"
    needs_mtu = True

    def __init__(self, lab, mtu=None, port=None):
        super().__init__(lab, mtu, port)
        self.api = lab.path("slirp4netns-api")

    def peer_command(self):
        return [self.binary, "--configure", f"--mtu={self.mtu or 1500}", "--disable-host-loopback", f"--api-socket={self.api}",
                str(self.pid), "tap0"]

    def configure(self):
        if not self.port:
            return
        wait_for(self.api.exists, 10, "slirp4netns's API socket")
        request = {"execute": "add_hostfwd",
                   "arguments": {"proto": "tcp", "host_addr": "127.0.0.1", "host_port": self.port, "guest_port": self.port}}
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.api))
            client.sendall(json.dumps(request).encode())
            client.shutdown(socket.SHUT_WR)
            answer = json.loads(client.recv(2048))
        if "error" in answer:
            raise OSError(f"add_hostfwd: {answer['error']}")


class Pasta(Attached):
    """What comes from the host's loopback it moves with splice() between two sockets, past its TAP."""

    name = "pasta"
    binary = "pasta"

    def peer_command(self):
        # Without --no-map-gw, the address of its gateway, which is our wan, would be the host itself.
        publish = ["-t", f"127.0.0.1/{self.port}", "-T", "none", "-u", "none", "-U", "none"] if self.port else []
        return [self.binary, "--config-net", "--no-map-gw", "-q", "-f", "-i", "h-wan", "-m", str(self.mtu or 1500), "-I", "tap0",
                *publish, str(self.pid)]


class RootlessKit(Attached):
    """Its builtin port driver: a copying process on each side, past the TAP. The network is slirp4netns's."""

    name = "rootlesskit builtin"
    binary = "rootlesskit"

    @classmethod
    def missing(cls):
        return super().missing() or Slirp4netns.missing()

    def _start_holder(self):
        return None  # it makes its namespaces itself

    def peer_command(self):
        return self.launch

    def __enter__(self):
        self.pid_file, script = self._holder_script()
        state = self.lab.path("rootlesskit")
        self.launch = [self.binary, "--net=slirp4netns", f"--mtu={self.mtu or 65520}", "--disable-host-loopback", "--copy-up=/etc",
                       f"--state-dir={state}", "--port-driver=builtin",
                       *(["--publish", f"127.0.0.1:{self.port}:{self.port}/tcp"] if self.port else []), "sh", "-c", script]
        return super().__enter__()

    def _up(self):
        if not self.pid_file.exists():
            if self.process.poll() is not None:
                raise OSError(f"it ended with status {self.process.returncode}: {self.log.read_text().strip()}")
            return False
        self.pid = int(self.pid_file.read_text())
        return super()._up()


class _OnFailure:
    def __init__(self, undo):
        self.undo = undo

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.undo()
