"""Confinement of run, attach and PATH: what is left to each process, and that nothing is left behind by any."""

import json
import os
import pathlib
import signal
import socket
import stat
import subprocess

import pytest

import test_seed_form
from lab.guest import children, said, wait_for
from lab.network import WAN4, WAN6
from test_attach import Container, attach, container  # noqa: F401
from test_publish_loopback import inside, keeper_of
from test_seed_form import session  # noqa: F401

NET_BIND, SYS_ADMIN, NET_ADMIN, CAP_KILL, DAC_OVERRIDE = (1 << bit for bit in (10, 21, 12, 5, 1))


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t") for line in lines if ":\t" in line)


def limit_of(pid, name):
    line = next(line for line in pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines() if line.startswith(name))
    return line[len("Max open files            "):].split()[0]


def confined(pid, capabilities, opaque):
    wait_for(lambda: status_of(pid)["Seccomp"] == "2", 5, f"the filter of {pid}: {status_of(pid)}")
    status = status_of(pid)
    assert status["NoNewPrivs"] == "1"
    for name in ("CapPrm", "CapEff", "CapInh"):
        assert int(status[name], 16) & ~capabilities == 0, (name, status[name])
    assert int(status["CapAmb"], 16) == 0
    # Not dumpable: its files in /proc are root's, of the user namespace in which it was started.
    assert not opaque or os.stat(f"/proc/{pid}/mem").st_uid != 5000
    for what in ("Max processes", "Max core file size"):
        assert limit_of(pid, what) == "0", what


def kinds(pid):
    """What its descriptors beyond standard error lead to: files and folders are named."""
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        if int(fd) <= 2:
            continue
        text = os.readlink(f"/proc/{pid}/fd/{fd}")
        mode = os.stat(f"/proc/{pid}/fd/{fd}").st_mode
        found.append(text if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else text.split(":")[0])
    return found


def check_family(program, helper_capabilities, opaque=True):
    keeper, helper = keeper_of(program), inside(program)
    confined(program, NET_BIND, opaque)
    confined(keeper, CAP_KILL | DAC_OVERRIDE | SYS_ADMIN, opaque)
    confined(helper, helper_capabilities, opaque)
    root = pathlib.Path(f"/proc/{program}/root")
    assert list(root.iterdir()) == []
    mounts = pathlib.Path(f"/proc/{program}/mountinfo").read_text().splitlines()
    assert len(mounts) == 1 and "ro" in mounts[0].split()[5].split(","), mounts
    with pytest.raises(OSError):
        (root / "file").touch()
    assert {kind for kind in kinds(program) if kind.startswith("/")} == {"/dev/net/tun"}
    assert not [kind for kind in kinds(helper) if kind.startswith("/") and kind != "/dev/net/tun"]
    for fd in (0, 1):
        assert os.readlink(f"/proc/{program}/fd/{fd}") == "/dev/null"


@pytest.mark.core
def test_what_is_left_of_run(make_guest):
    guest = make_guest()
    check_family(guest.forwarder, SYS_ADMIN | CAP_KILL)
    assert guest.out(f"curl -sS http://{WAN4}/") == "hello from the lab\n"


@pytest.mark.core
def test_what_is_left_of_attach(lab, container, attach):  # noqa: F811
    process = attach("--configure", str(container.pid))
    check_family(process.pid, SYS_ADMIN | NET_ADMIN)
    assert container.run(f"curl -sS --max-time 5 'http://[{WAN6}]/'").stdout == "hello from the lab\n"


@pytest.mark.core
def test_what_is_left_of_path(session):  # noqa: F811
    process = test_seed_form.start(session)
    chain = [process.pid, *children(process.pid)]
    program = [pid for pid in chain if b"slirp" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]][0]
    check_family(program, SYS_ADMIN | NET_ADMIN, opaque=False)


def test_the_command_has_none_of_it(lab):
    """Set-uid programs such as su and ping go on working in it."""
    script = "grep -E 'NoNewPrivs|Seccomp:|CapEff|CapBnd' /proc/self/status; ulimit -c; ulimit -u"
    done = lab.user_run([lab.binary, "run", "--", "bash", "-c", script])
    lines = [line.split()[-1] for line in done.stdout.splitlines()]
    every = f"{(1 << (int(pathlib.Path('/proc/sys/kernel/cap_last_cap').read_text()) + 1)) - 1:016x}"
    assert lines[:4] == [every, every, "0", "0"], done.stdout
    assert lines[4:] == lab.user_run(["bash", "-c", "ulimit -c; ulimit -u"]).stdout.split()


def test_the_callers_descriptors(lab, nothing_left):
    """CMD has what the caller left open, and no process of ours."""
    path, started = lab.path("open"), lab.path("started")
    with open(path, "w", encoding="utf-8") as file:
        os.set_inheritable(file.fileno(), True)
        script = f"readlink /proc/self/fd/{file.fileno()} > {started}; sleep 30"
        process = lab.user_popen([lab.binary, "run", "--", "sh", "-c", script], pass_fds=[file.fileno()], stderr=subprocess.PIPE)
    wait_for(lambda: started.exists() and started.read_text() == f"{path}\n", 10, "the command's descriptor")
    for pid in (process.pid, keeper_of(process.pid), inside(process.pid)):
        wait_for(lambda pid=pid: status_of(pid)["Seccomp"] == "2", 5, "the filter")
        assert str(path) not in kinds(pid)
    lab.stop(process)


@pytest.mark.core
def test_no_sandbox(lab, make_guest):
    """Said once, and nothing is confined; traffic of each kind (in the sanitized build, leaks are looked for at the end)."""
    guest = make_guest("--no-sandbox", "--publish-loopback", "8080:80")
    for pid in (guest.forwarder, keeper_of(guest.forwarder), inside(guest.forwarder)):
        assert status_of(pid)["Seccomp"] == "0"
    assert pathlib.Path(f"/proc/{guest.forwarder}/root/usr").exists()
    assert guest.out("curl -sS http://wan.lab.test/") == "hello from the lab\n"
    assert " 0% packet loss" in guest.out(f"ping -c 1 -q {WAN4}")
    assert guest.messages().count("\n") == len(guest.messages().splitlines())
    assert len([line for line in guest.messages().splitlines() if "--no-sandbox" in line]) == 1


WITHOUT = """
unshare -rn sleep 1000 &
T=$!
until [ "$(cat /proc/$T/comm)" = sleep ]; do sleep 0.05; done
echo 0 > /proc/sys/user/max_user_namespaces
exec setpriv --bounding-set=-all --inh-caps=-all {binary} attach --configure --ready-fd={fd} $T
"""


@pytest.mark.core
def test_where_user_namespaces_are_forbidden(lab, nothing_left):
    """It goes on without a root of its own, and says what is missing; the filter and Landlock are there."""
    ready, write = os.pipe()
    process = lab.user_popen(["unshare", "-r", "sh", "-c", WITHOUT.format(binary=lab.binary, fd=write)], pass_fds=[write],
                             stderr=subprocess.PIPE)
    os.close(write)
    assert os.read(ready, 10) == b"1", process.communicate()
    os.close(ready)
    status = status_of(process.pid)
    assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1"
    (target,) = sleepers()
    done = subprocess.run([*lab.enter_as_root(target, "user", "net"), "curl", "-sS", "--max-time", "5", f"http://{WAN4}/"],
                          capture_output=True, text=True, check=False, timeout=20)
    assert done.stdout == "hello from the lab\n", done.stderr
    os.kill(target, signal.SIGKILL)
    assert process.wait(10) == 0
    (line,) = process.stderr.read().splitlines()
    assert "without a root folder of its own" in line and "user.max_user_namespaces" in line


DAEMONS = """
setsid sleep 1000 &
[ -z "{other}" ] || setpriv --reuid=1000 --regid=1000 --clear-groups setsid sleep 1000 &
(setsid sh -c 'sleep 1000 & sleep 1000 & wait' &)
touch {started}
sleep 1000
"""


def sleepers():
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().split(b"\0")[:2] == [b"sleep", b"1000"]:
                found.append(int(path.parent.name))
        except OSError:
            pass
    return found


@pytest.mark.core
@pytest.mark.parametrize("options", [[], ["--pid"]], ids=["plain", "pid"])
@pytest.mark.parametrize("whom", ["program", "keeper", "init", "command"])
def test_killed(lab, nothing_left, whom, options):
    """SIGKILL to each of run's family in turn: no process, whatever its parent and its user, no socket, no mount."""
    runtime, started = lab.path("runtime"), lab.path("started")
    runtime.mkdir()
    os.chown(runtime, 5000, 5000) if lab.mode != "single" else runtime.chmod(0o777)
    api = runtime / "api"
    script = DAEMONS.format(started=started, other="" if lab.mode == "single" else "yes")
    process = lab.user_popen([lab.binary, "run", *options, "--api-socket", api, "--publish", "8080:80", "--", "sh", "-c", script],
                             stderr=subprocess.PIPE, env={"XDG_RUNTIME_DIR": str(runtime)})
    wanted = 4 if lab.mode == "single" else 5
    wait_for(lambda: started.exists() and len(sleepers()) == wanted, 15, "the command and what it has started")
    listed = runtime / "slirp-forwarder" / f"{process.pid}.sock"
    assert api.exists() and listed.exists()
    init = inside(process.pid)
    command = int(pathlib.Path(f"/proc/{init}/task/{init}/children").read_text().split()[0])
    os.kill({"program": process.pid, "keeper": keeper_of(process.pid), "init": init, "command": command}[whom], signal.SIGKILL)
    assert process.wait(10) == (-signal.SIGKILL if whom == "program" else 128 + signal.SIGKILL)
    wait_for(lambda: not sleepers(), 5, "all that the command has started")
    wait_for(lambda: not api.exists() and not listed.exists(), 5, "the sockets to go")


@pytest.mark.parametrize("whom,number", [(0, signal.SIGTERM), (0, signal.SIGKILL), (1, signal.SIGKILL), (2, signal.SIGKILL)],
                         ids=["TERM", "program", "keeper", "helper"])
@pytest.mark.parametrize("how", ["run", "attach", "path"])
def test_sockets_go(lab, nothing_left, session, attach, container, how, whom, number):  # noqa: F811
    """At the end of each command, however it comes; and a port can be added while all are confined."""
    api = lab.path("api")
    options = ["--api-socket", str(api)]
    if how == "run":
        process = lab.user_popen([lab.binary, "run", *options, "--", "sleep", "1000"], stderr=subprocess.PIPE)
    elif how == "attach":
        process = attach("--configure", *options, str(container.pid))
    else:
        api = session.work / "api"
        process = test_seed_form.start(session, "--api-socket", str(api))
    wait_for(api.exists, 10, "the socket")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(api))
        client.sendall(json.dumps({"execute": "add_hostfwd", "arguments": {
            "proto": "tcp", "host_addr": "127.0.0.1", "host_port": 8123, "guest_addr": "", "guest_port": 80}}).encode())
        client.shutdown(socket.SHUT_WR)
        assert json.loads(client.recv(2048)) == {"return": {"id": 1}}
    chain = [process.pid, *children(process.pid)]
    family = [pid for pid in chain if b"slirp" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]]
    os.kill(family[whom], number)
    process.wait(10)
    wait_for(lambda: not api.exists(), 5, "the socket to go")


@pytest.mark.core
def test_the_guests_root_has_no_way_to_the_program(make_guest):
    """Neither by /proc nor by ptrace: root in there is the program's own user outside."""
    guest = make_guest()
    wait_for(lambda: status_of(guest.forwarder)["Seccomp"] == "2", 5, "the filter")
    for pid in (guest.forwarder, keeper_of(guest.forwarder), inside(guest.forwarder)):
        for what in ("mem", "fd/3", "root/", "environ"):
            refused = guest.run(f"exec 3< /proc/{pid}/{what}", check=False)
            assert "Permission denied" in refused.stderr, (pid, what, refused)
        code = f"import ctypes,os\nl=ctypes.CDLL(None,use_errno=True)\nr=l.ptrace(16,{pid},0,0)\nprint(r,os.strerror(ctypes.get_errno()))"
        assert guest.python(code) == "-1 Operation not permitted\n"
