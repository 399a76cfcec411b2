"""slirp4netns's --enable-sandbox and --enable-seccomp: what is left to the process, and that its work goes on."""

import contextlib
import json
import os
import pathlib
import re
import select
import signal
import socket
import subprocess

import pytest

from lab import content
from lab.guest import kill, said, wait_for
from lab.network import HOST4, WAN4, WAN4_SECOND, WAN6
from test_attach import Container

SANDBOX, SECCOMP = ["--enable-sandbox"], ["--enable-seccomp"]
BOTH = SANDBOX + SECCOMP
THREADS = [*BOTH, "--threads=3"]
EACH = pytest.mark.parametrize("flags", [SANDBOX, SECCOMP, BOTH, THREADS], ids=["sandbox", "seccomp", "both", "threads"])


@pytest.fixture
def container(lab):
    it = Container(lab)
    yield it
    it.kill()


@pytest.fixture
def slirp(lab):
    """slirp(*words) starts the program as slirp4netns, and returns its process once it is ready."""
    program = lab.path("bin") / "slirp4netns"
    program.parent.mkdir()
    program.symlink_to(lab.binary)
    started = []

    def start(*words, keep=(), configure=("--configure", "--enable-ipv6"), **options):
        ready, write = os.pipe()
        argv = [program, *configure, f"--ready-fd={write}", *words]
        process = lab.user_popen(argv, pass_fds=[write, *keep], stderr=subprocess.PIPE, **options)
        started.append(process)
        os.close(write)
        told = os.read(ready, 10) if select.select([ready], [], [], 15)[0] else b"nothing"
        os.close(ready)
        if told != b"1":
            process.kill()
            raise AssertionError(f"{told}: {process.communicate()[1]}")
        return process

    yield start
    for process in started:
        lab.stop(process)


@pytest.fixture
def payload(lab):
    """A file that wan serves, and its SHA-256."""
    path = lab.path("payload")
    digest = content.write(path, 16 << 20)
    path.chmod(0o644)
    return path, digest


def target(kind, container):
    return [str(container.pid)] if kind == "pid" else ["--netns-type=path", f"/proc/{container.pid}/ns/net"]


def status_in(folder):
    return dict(re.findall(r"^(\w+):\s*(.*)$", (folder / "status").read_text(), re.MULTILINE))


def status_of(process):
    return status_in(pathlib.Path(f"/proc/{process.pid}"))


def works(container):
    assert container.run(f"curl -sS --max-time 5 http://{WAN4}/").stdout == "hello from the lab\n"
    assert container.run(f"curl -sS --max-time 5 'http://[{WAN6}]/'").stdout == "hello from the lab\n"
    assert who(container) == "wan"


def who(container):
    """The name server that answers in the end."""
    return container.run("dig @10.0.2.3 +tries=1 +time=5 +short TXT whoami.lab.test", check=False).stdout.strip().strip('"')


@pytest.mark.core
@pytest.mark.parametrize("kind", ["pid", "path"])
@pytest.mark.parametrize("flags", [SANDBOX, BOTH, THREADS], ids=["sandbox", "both", "threads"])
def test_what_is_left(lab, nothing_left, container, slirp, kind, flags):
    process = slirp(*flags, *target(kind, container), "tap0")
    root = pathlib.Path(f"/proc/{process.pid}/root")
    assert sorted(entry.name for entry in root.iterdir()) == ["etc", "run"]
    assert (root / "etc/resolv.conf").read_text() == pathlib.Path("/etc/resolv.conf").read_text()
    by_user = lab.user_run(["ls", f"/proc/{process.pid}/root/"])
    assert by_user.stdout.split() == ["etc", "run"], by_user.stderr
    mounts = [line.split() for line in pathlib.Path(f"/proc/{process.pid}/mountinfo").read_text().splitlines()]
    assert all("ro" in mount[5].split(",") for mount in mounts), mounts
    places = [mount[4] for mount in mounts]
    assert [place for place in places if not re.match("/(etc|run)(/|$)", place)] == ["/"], "the old root is gone"

    threads = list(pathlib.Path(f"/proc/{process.pid}/task").iterdir())
    assert len(threads) == (4 if flags == THREADS else 1)
    for thread in threads:
        status = status_in(thread)
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd"):
            assert int(status[name], 16) == 0x400, name
        assert int(status["CapAmb"], 16) == 0
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == ("0" if flags == SANDBOX else "2")
    namespaces = pathlib.Path(f"/proc/{process.pid}/ns")
    assert os.readlink(namespaces / "net") == lab.user_run(["readlink", "/proc/self/ns/net"]).stdout.strip()
    assert os.readlink(namespaces / "user") != os.readlink(f"/proc/{container.pid}/ns/user"), \
        "root of the guest could trace the process"
    works(container)
    lab.stop(process)


def test_without_the_flags(lab, container, slirp):
    process = slirp(str(container.pid), "tap0")
    assert (pathlib.Path(f"/proc/{process.pid}/root") / "home").exists()
    status = status_of(process)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("0", "0")


@pytest.mark.core
def test_no_open_descriptor_leads_out(lab, container, slirp):
    """The control sockets' folders are open. From them, '..' must not lead to the host's files."""
    process = slirp(*BOTH, f"--api-socket={lab.path('api')}", str(container.pid), "tap0",
                    env={"XDG_RUNTIME_DIR": str(lab.tmp)})
    folders = [path for path in pathlib.Path(f"/proc/{process.pid}/fd").iterdir() if os.path.isdir(path)]
    assert len(folders) == 2
    for folder in folders:
        # "..", as the process itself sees it: outside of its mounts, the kernel cannot name it.
        descriptor = os.open(folder, os.O_PATH)
        above = os.open("..", os.O_PATH, dir_fd=descriptor)
        assert os.path.sameopenfile(descriptor, above)
        os.close(descriptor)
        os.close(above)


@pytest.mark.core
@EACH
def test_traffic(container, slirp, payload, flags):
    process = slirp(*flags, str(container.pid), "tap0")
    works(container)
    for address in (WAN4, WAN6, "10.0.2.2"):
        container.run(f"ping -c1 -W5 {address}")
    assert "203.0.113.2" in container.run("dig @10.0.2.3 +tcp +short A far.lab.test").stdout
    assert "hhhhhhhh" in container.run("dig @10.0.2.3 +tcp TXT huge.lab.test").stdout
    assert container.run("dig @198.51.100.2 +short A wan.lab.test").stdout == f"{WAN4}\n", "UDP to the world"
    there = container.run(f"curl -sS --max-time 20 -T {payload[0]} http://{WAN4}/up").stdout
    back = container.run(f"curl -sS --max-time 20 http://{WAN4}/file/{payload[0].name} | sha256sum").stdout
    assert there.split()[0] == back.split()[0] == payload[1]
    refused = container.run(f"curl -sS --max-time 5 http://{WAN4}:4/", check=False)
    assert refused.returncode == 7, refused.stderr
    assert process.poll() is None


def ask(path, request):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(json.dumps(request).encode())
        client.shutdown(socket.SHUT_WR)
        return json.loads(b"".join(iter(lambda: client.recv(4096), b"")))


@pytest.mark.core
@EACH
def test_api_socket(lab, container, slirp, flags):
    """Published and taken back at run time; the socket's file goes at the end, though nothing else can be written to."""
    api, runtime = lab.path("api"), lab.path("runtime")
    lab.user_run(["mkdir", "-m", "0700", runtime], check=True)
    process = slirp(*flags, f"--api-socket={api}", str(container.pid), "tap0", env={"XDG_RUNTIME_DIR": str(runtime)})
    forward = {"proto": "tcp", "host_addr": "", "host_port": 8123, "guest_addr": "", "guest_port": 80}
    assert ask(api, {"execute": "add_hostfwd", "arguments": forward}) == {"return": {"id": 1}}
    server = lab.popen([*lab.enter_as_root(container.pid, "user", "net"), "sh", "-c", "echo hello | nc -l -p 80 -N"])
    wait_for(lambda: ":80 " in container.run("ss -tln").stdout, 10, "the server")
    assert lab.user_run(["nc", "-w", "5", HOST4, "8123"], stdin=subprocess.DEVNULL).stdout == "hello\n"
    lab.stop(server)
    assert ask(api, {"execute": "list_hostfwd"})["return"]["entries"][0]["host_port"] == 8123
    assert ask(api, {"execute": "remove_hostfwd", "arguments": {"id": 1}}) == {"return": {}}
    refused = lab.user_run(["nc", "-w", "5", HOST4, "8123"], stdin=subprocess.DEVNULL)
    assert refused.returncode != 0
    listed = runtime / "slirp-forwarder" / f"{process.pid}.sock"
    assert "error" not in ask(listed, {"execute": "list_hostfwd"})
    process.send_signal(signal.SIGTERM)
    process.wait(10)
    assert not api.exists() and not listed.exists()
    assert process.stderr.read() == ""


@EACH
@pytest.mark.parametrize("how", ["in place", "by rename"])
def test_resolv_conf_is_followed(lab, container, slirp, flags, how):
    with lab.resolv_conf(f"nameserver {WAN4}\n") as path:
        slirp(*flags, str(container.pid), "tap0")
        first = wait_for(lambda: who(container), 10, "an answer")
        if how == "in place":
            path.write_text(f"nameserver {WAN4_SECOND}\n")
        else:
            new = path.with_name("resolv.conf.new")
            new.write_text(f"nameserver {WAN4_SECOND}\n")
            new.rename(path)
        wait_for(lambda: who(container) not in ("", first), 10, "the other server's answer")


@pytest.mark.parametrize("link", ["/media/outside/resolv.conf", "../media/way/resolv.conf", "/run/resolved/stub.conf"])
def test_resolv_conf_is_a_link(lab, container, slirp, link):
    """Out of /etc and /run, over another link, and within /run."""
    outside = pathlib.Path("/media/outside")
    with contextlib.ExitStack() as stack:
        path = stack.enter_context(lab.resolv_conf(""))
        for folder in (outside, pathlib.Path("/run/resolved")):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
        way = pathlib.Path("/media/way")
        way.symlink_to("outside")
        stack.callback(way.unlink)
        real = pathlib.Path("/run/resolved/stub.conf") if link.startswith("/run") else outside / "resolv.conf"
        real.write_text(f"nameserver {WAN4}\n")
        path.unlink()
        path.symlink_to(link)
        process = slirp(*BOTH, str(container.pid), "tap0")
        first = wait_for(lambda: who(container), 10, "an answer")
        real.write_text(f"nameserver {WAN4_SECOND}\n")
        wait_for(lambda: who(container) not in ("", first), 10, "the other server's answer")
        inside = pathlib.Path(f"/proc/{process.pid}/root/media")
        assert inside.exists() != link.startswith("/run")
        if inside.exists():
            assert [entry.name for entry in (inside / "outside").iterdir()] == ["resolv.conf"]


@EACH
def test_ends_with_the_target(lab, nothing_left, slirp, flags):
    container = Container(lab)
    process = slirp(*flags, str(container.pid), "tap0")
    works(container)
    container.kill()
    assert process.wait(10) is not None
    assert said(subprocess.CompletedProcess([], 0, stderr=process.stderr.read())) == []


@EACH
def test_exit_fd(lab, nothing_left, container, slirp, flags):
    read, write = os.pipe()
    process = slirp(*flags, f"--exit-fd={read}", str(container.pid), "tap0", keep=[read])
    os.close(write)
    os.close(read)
    assert process.wait(10) == 0


PODMAN = """
touch {path}
unshare -n sh -c 'mount --bind /proc/self/ns/net {path}'
{program} --disable-host-loopback --mtu=65520 --enable-sandbox --enable-seccomp --enable-ipv6 -c -r 3 \\
    --netns-type=path {path} tap0 3>{ready} &
echo $! > {pid}
read go
umount {path}
wait $!
echo status $?
"""


def test_as_podman_calls_it(lab, nothing_left):
    """As root of the caller's own user and mount namespace, whose mounts we must not keep alive."""
    program = lab.path("bin") / "slirp4netns"
    program.parent.mkdir()
    program.symlink_to(lab.binary)
    names = {name: lab.path(name) for name in ("path", "ready", "pid")}
    script = PODMAN.format(program=program, **names)
    with open(lab.path("log"), "w+", encoding="utf-8") as log:
        shell = lab.user_popen(["unshare", "-rm", "--propagation=private", "sh", "-c", script], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=log)
        try:
            ready = names["ready"]
            wait_for(lambda: ready.exists() and ready.read_text() == "1", 15, "it to be ready")
            pid = int(names["pid"].read_text())
            assert sorted(os.listdir(f"/proc/{pid}/root")) == ["etc", "run"]
            lines = pathlib.Path(f"/proc/{pid}/status").read_text().split("\n")
            assert {line.split("\t")[1] for line in lines if line.startswith(("CapI", "CapP", "CapE", "CapB"))} == {
                "0000000000000400"}
            inside = [*lab.enter_as_root(shell.pid, "user", "mount")[:-1], f"--net=/proc/{shell.pid}/root{names['path']}", "--"]
            done = subprocess.run([*inside, "curl", "-sS", "--max-time", "5", f"http://{WAN4}/"], capture_output=True,
                                  text=True, check=False, timeout=20)
            assert done.stdout == "hello from the lab\n", done.stderr
            out = shell.communicate("go\n", timeout=10)[0]
            assert "status" in out, "the process did not end with its namespace"
        except BaseException:
            for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
                if str(program).encode() in path.read_bytes():
                    kill(int(path.parent.name))
            raise
        finally:
            lab.stop(shell)
        log.seek(0)
        assert log.read() == ""


@pytest.mark.core
@EACH
def test_bess(lab, nothing_left, flags):
    """A peer instead of a TAP, and no child, no namespace to join."""
    program, path = lab.path("bin") / "slirp4netns", lab.path("bess")
    program.parent.mkdir()
    program.symlink_to(lab.binary)
    process = lab.user_popen([program, "--target-type=bess", *flags, path], stderr=subprocess.PIPE)
    wait_for(path.exists, 10, "the socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
        peer.settimeout(10)
        peer.connect(str(path))
        peer.send(b"")  # no frame, and not the end
        mac, own, gateway = b"\x02\0\0\0\0\1", socket.inet_aton("10.0.2.100"), socket.inet_aton("10.0.2.2")
        question = b"\xff" * 6 + mac + b"\x08\x06" + b"\0\1\x08\0\6\4\0\1" + mac + own + b"\0" * 6 + gateway
        peer.send(question)
        answer = wait_for(lambda: (frame := peer.recv(2048))[12:14] == b"\x08\x06" and frame, 10, "an answer to ARP")
        assert answer[20:22] == b"\0\2" and answer[28:32] == gateway
    assert process.wait(10) == 0, process.stderr.read()
    assert not path.exists()


MAKE_TAP = """
import fcntl, os, socket, struct
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, 0x400454ca, struct.pack("16sH22x", b"tap0", 0x1002))  # TUNSETIFF: IFF_TAP | IFF_NO_PI
with socket.socket(socket.AF_UNIX) as to:
    to.connect("{}")
    socket.send_fds(to, [b"tap"], [tap])
os.system("ip addr add 10.0.2.100/24 dev tap0; ip link set tap0 up; ip route add default via 10.0.2.2")
"""


@pytest.mark.core
@EACH
def test_tapfd(lab, nothing_left, container, slirp, flags):
    """A TAP that somebody else has made: nothing to join."""
    path = lab.path("handover")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(10)
        listener.bind(str(path))
        path.chmod(0o777)
        listener.listen()
        script = MAKE_TAP.format(path)
        maker = lab.popen([*lab.enter_as_root(container.pid, "user", "net"), "/usr/bin/python3", "-c", script])
        with listener.accept()[0] as connection:
            tap = socket.recv_fds(connection, 10, 1)[1][0]
    assert maker.wait(10) == 0
    slirp(*flags, "--netns-type=tapfd", str(tap), keep=[tap], configure=())
    os.close(tap)
    assert container.run(f"curl -sS --max-time 5 http://{WAN4}/").stdout == "hello from the lab\n"


@pytest.mark.core
def test_killed(lab, nothing_left, container, slirp):
    process = slirp(*BOTH, str(container.pid), "tap0")
    process.kill()
    process.wait(5)
    wait_for(lambda: container.run("ip link show tap0", check=False).returncode != 0, 5, "the TAP to go")
