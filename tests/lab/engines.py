"""Podman, Buildah and RootlessKit as the lab's unprivileged user runs them, with the program under test as slirp4netns.

Debian's packages, a home and a runtime directory of their own, and one image, made here from busybox-static: nothing is
fetched. SLIRP4NETNS_UNDER_TEST may name another binary (Debian's own, to see that a test is right about it).
"""

import io
import os
import pathlib
import shutil
import subprocess
import tarfile
import textwrap

from . import world

PROGRAMS = ("podman", "buildah", "rootlesskit", "rootlessctl", "crun", "conmon", "catatonit", "busybox")
IMAGE = "localhost/box"
# The image's /lib and /lib64 lead below /usr: with the host's in place, Python runs in a container.
WITH_PYTHON = ("--volume", "/usr:/usr:ro")

# What README.md says stands between the two.
_CONTAINERS_CONF = """[containers]
cgroups = "disabled"
{readme}
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "crun"
"""
_STORAGE_CONF = """[storage]
driver = "vfs"
graphroot = "{home}/storage"
runroot = "{runtime}/containers"
"""
# httpd runs it for /cgi-bin/peer: the client's address as the container sees it.
_PEER_SCRIPT = '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n%s\\n" "${REMOTE_ADDR}"\n'


def _one_cgroup_tree():
    """crun refuses a machine with both versions. For this world, the second version alone is there."""
    root = pathlib.Path("/sys/fs/cgroup")
    if not (root / "cgroup.controllers").exists() and (root / "unified/cgroup.controllers").exists():
        world.mount(root / "unified", root, flags=world.MS_BIND)


def _image():
    """The image's file system as a tar archive."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:

        def add(name, data=None, link=None):
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755
            if link:
                entry.type, entry.linkname = tarfile.SYMTYPE, link
            elif data is None:
                entry.type = tarfile.DIRTYPE
            else:
                entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data) if data else None)

        for folder in ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "usr", "www", "www/cgi-bin"):
            add(folder)
        add("lib", link="usr/lib")
        add("lib64", link="usr/lib64")
        busybox = shutil.which("busybox")
        add("bin/busybox", pathlib.Path(busybox).read_bytes())
        for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
            if applet != "busybox":
                add(f"bin/{applet}", link="busybox")
        add("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
        add("etc/group", b"root:x:0:\n")
        add("www/cgi-bin/peer", _PEER_SCRIPT.encode())
        add("www/index.html", b"hello from the container\n")
    return output.getvalue()


# A server for any network: whoever comes to TCP port 80 or UDP port 53 is told the address and port that are seen.
TELLER = """
import socket, threading
def tcp():
    s = socket.create_server(('::', 80), family=socket.AF_INET6, dualstack_ipv6=True)
    while True:
        c, peer = s.accept()
        c.sendall(('%s %d' % peer[:2]).removeprefix('::ffff:').encode() + b'\\n')
        c.close()
threading.Thread(target=tcp, daemon=True).start()
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
s.bind(('::', 53))
while True:
    data, peer = s.recvfrom(65536)
    s.sendto(('%s %d' % peer[:2]).removeprefix('::ffff:').encode(), peer)
"""
TELLER_COMMAND = ("/usr/bin/python3", "-c", TELLER)
_ASK = """
import socket, time
kind, address, port = socket.{kind}, {address!r}, {port}
for attempt in range(100):
    s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, kind)
    s.settimeout(0.2 if kind == socket.SOCK_DGRAM else 5)
    try:
        s.connect((address, port))
        if kind == socket.SOCK_DGRAM:
            s.send(b'who')
        told = s.recv(100).decode().split()
    except OSError:
        told = []
    if told:
        print(told[0], int(told[1]) == s.getsockname()[1])
        break
    time.sleep(0.05)
"""


def told(lab, address, port, namespace=None, kind="SOCK_STREAM"):
    """What the teller says to a client in `namespace`: (address, whether the port is the client's own)."""
    code = _ASK.format(kind=kind, address=address, port=port)
    done = lab.user_run(["/usr/bin/python3", "-c", code], namespace=namespace)
    assert done.stdout, f"no answer of {address} port {port}: {done.stderr}"
    seen, own = done.stdout.split()
    return seen, own == "True"


def told_over_udp(lab, address, port, namespace=None):
    return told(lab, address, port, namespace, "SOCK_DGRAM")


class EngineError(AssertionError):
    """A command of an engine failed; the text has its words."""


class Engines:
    """Needs a lab with subordinate ids. One for all tests: the image and Podman's pause process stay."""

    def __init__(self, lab):
        missing = [name for name in PROGRAMS if not shutil.which(name)]
        if missing:
            raise world.LabError(f"missing programs: {', '.join(missing)}. Run scripts/install-deps.sh")
        self.lab = lab
        self.home = world.HOME / "engines"
        self.runtime = self.home / "run"  # short: socket paths below it have to fit
        self.slirp4netns = self._link(lab)
        for folder in (self.home, self.runtime):
            folder.mkdir(mode=0o700)
            os.chown(folder, world.USER_ID, world.USER_ID)
        self.environment = {
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "CONTAINERS_CONF": str(self._write("containers.conf", _CONTAINERS_CONF.format(readme=self.readme("[engine]")))),
            "CONTAINERS_STORAGE_CONF": str(self._write("storage.conf", _STORAGE_CONF.format(
                home=self.home, runtime=self.runtime))),
            "BUILDAH_ISOLATION": "rootless",
            "PATH": f"{self.slirp4netns.parent}:{os.environ['PATH']}",  # Buildah 1.28 and RootlessKit look there
        }
        _one_cgroup_tree()
        archive = lab.path("image.tar")
        archive.write_bytes(_image())
        archive.chmod(0o644)
        self.podman("import", archive, IMAGE)
        archive.unlink()

    @staticmethod
    def _link(lab):
        """The program under test under the name that makes it a slirp4netns, in a directory that has nothing else."""
        given = os.environ.get("SLIRP4NETNS_UNDER_TEST")
        if not given:
            return pathlib.Path(lab.slirp4netns)
        link = world.ROOT / "slirp4netns" / "slirp4netns"
        link.parent.mkdir()
        link.symlink_to(given)
        return link

    def _write(self, name, text):
        path = self.home / name
        path.write_text(text)
        path.chmod(0o644)
        return path

    def readme(self, beginning):
        """The example in README.md that begins so, with the folder of the program under test for the installed one."""
        paragraphs = (world.REPOSITORY / "README.md").read_text(encoding="utf-8").split("\n\n")
        (example,) = [text for text in paragraphs if text.startswith(f"    {beginning}")]
        installed = "/usr/local/libexec/slirp-forwarder"
        assert installed in example or beginning == "podman run"
        return textwrap.dedent(example).replace(installed, str(self.slirp4netns.parent))

    # --- commands ---------------------------------------------------------------------------------------------------

    def environment_with(self, extra=None):
        return {**self.environment, **(extra or {})}

    def try_run(self, *argv, timeout=60, env=None, **options):
        """A command as the user, to its end: the finished process, whatever its status."""
        return self.lab.user_run(argv, timeout=timeout, env=self.environment_with(env), cwd=self.home, **options)

    def run(self, *argv, **options):
        """The same, which has to succeed: its standard output."""
        done = self.try_run(*argv, **options)
        if done.returncode != 0:
            words = " ".join(str(word) for word in argv)
            raise EngineError(f"{words}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def popen(self, *argv, env=None, **options):
        return self.lab.user_popen(argv, env=self.environment_with(env), cwd=self.home, **options)

    def podman(self, *words, **options):
        return self.run("podman", *words, **options)

    def buildah(self, *words, **options):
        return self.run("buildah", *words, **options)

    def rootlesskit_words(self, *options):
        """RootlessKit with our network, as its documentation starts it."""
        return ["rootlesskit", "--net=slirp4netns", f"--slirp4netns-binary={self.slirp4netns}", "--copy-up=/etc", *options]

    # --- what runs --------------------------------------------------------------------------------------------------

    def forwarders(self):
        """PID -> words of every process that was started as slirp4netns, without those that it forked itself."""
        found, parents = {}, {}
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                words = (path / "cmdline").read_bytes().decode().split("\0")[:-1]
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if words and os.path.basename(words[0]) == "slirp4netns":
                found[int(path.name)], parents[int(path.name)] = words, parent
        return {pid: words for pid, words in found.items() if parents[pid] not in found}

    def api_sockets(self):
        """Of Podman's containers: API sockets, network namespaces kept by a mount, and the sockets for `ls`."""
        return [path for places in ("libpod/tmp/*.net", "netns/*", "slirp-forwarder/*") for path in sorted(self.runtime.glob(places))]
