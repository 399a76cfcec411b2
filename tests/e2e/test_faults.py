"""What happens to a host and to a guest while it runs, with real clients, in each form: the interface to the world goes
and comes, its addresses change, the TAP goes, resolv.conf goes, all processes stand still.

What SIGKILL of each process leaves (nothing) is in test_confinement.py, test_publish_loopback.py and test_sandbox.py."""

import contextlib
import os
import pathlib
import select
import signal
import subprocess
import time

import pytest

import test_seed_form
from lab.container import Container
from lab.guest import Guest, children, kill, wait_for
from lab.namespace import address
from lab.network import HOST4, HOST4_SECOND, HOST6, HOST6_SECOND, WAN4, WAN4_SECOND, WAN6
from test_seed_form import session  # noqa: F401

SECONDS = 60 if os.environ.get("SF_FULL_MINUTE") else 4  # that all processes stand still

# One flow of each kind; for each line that is read, those that work are named.
TALK = """
import itertools, socket, sys
def flow(name, kind, address):
    s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, kind)
    s.settimeout(20)
    s.connect((address, 7))
    return name, s
flows = [flow('tcp4', socket.SOCK_STREAM, %r), flow('tcp6', socket.SOCK_STREAM, %r), flow('udp4', socket.SOCK_DGRAM, %r)]
print('ready', flush=True)
numbers = itertools.count()
for line in sys.stdin:
    good = []
    for name, s in flows:
        if name not in line:
            continue
        word = b'%%8d' %% next(numbers)
        try:
            s.send(word)
            while s.recv(8) != word:
                pass
            good.append(name)
        except OSError as error:
            good.append('%%s:%%s' %% (name, error))
    print(*good, flush=True)
""" % (WAN4, WAN6, WAN4)
ALL = "tcp4 tcp6 udp4"


class Form:
    """A network that the program gives: what runs in it, and what moves its packets."""

    def __init__(self, lab, process, log, enter, program=None):
        self.lab, self.process, self.log, self.enter = lab, process, pathlib.Path(log), enter
        self.program = program or process.pid

    def run(self, script, check=True, timeout=20):
        done = subprocess.run(self.enter(["bash", "-c", script]), capture_output=True, text=True, timeout=timeout, check=False,
                              env=self.lab.user_environment())
        assert not check or done.returncode == 0, f"{script}: {done.returncode}\n{done.stdout}{done.stderr}{self.messages()}"
        return done

    def messages(self):
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return "\n".join(line for line in lines if "subuid" not in line and "slirp4netns" not in line.split(":")[0][:3])

    def talker(self):
        process = self.lab.popen(self.enter(["/usr/bin/python3", "-c", TALK]), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 env=self.lab.user_environment())
        assert process.stdout.readline() == "ready\n", self.messages()

        def talk(which=ALL):
            process.stdin.write(which + "\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        return talk

    def who(self):
        """The name server that answers in the end; empty: SERVFAIL, or nobody."""
        return self.run("dig @10.0.2.3 +tries=1 +time=8 +short TXT whoami.lab.test", check=False).stdout.strip().strip('"')

    def works(self):
        for where in (WAN4, f"[{WAN6}]"):
            assert self.run(f"curl -sS --max-time 10 http://{where}/").stdout == "hello from the lab\n"
        assert self.who() == "wan"


def started(lab, argv):
    """The program on a namespace that is there already, once it is ready."""
    log = lab.path("form-log")
    ready, write = os.pipe()
    with open(log, "w", encoding="utf-8") as file:
        process = lab.user_popen([word.replace("{ready}", str(write)) for word in argv], pass_fds=[write], stderr=file)
    os.close(write)
    said = os.read(ready, 10) if select.select([ready], [], [], 15)[0] else b"nothing"
    os.close(ready)
    assert said == b"1", log.read_text()
    return process, log


@pytest.fixture(params=["run", "attach", "path", "slirp4netns"])
def form(lab, request):
    with contextlib.ExitStack() as stack:
        if request.param == "run":
            guest = stack.enter_context(Guest(lab))
            made = Form(lab, guest.process, guest.log, guest.command)
        elif request.param == "path":
            session = request.getfixturevalue("session")  # noqa: F811
            process = test_seed_form.start(session, "--configure")
            stack.callback(lab.stop, process)
            wait_for(lambda: "default via" in session.run("nsenter --net=net ip -6 route").stdout, 10, "the network")
            program = test_seed_form._program(session, process)
            made = Form(lab, process, session.work / "log", lambda argv: session.command(["nsenter", "--net=net", *argv]), program)
        else:
            container = Container(lab)
            stack.callback(container.kill)
            words = ([lab.binary, "attach", "--configure", "--ready-fd={ready}"] if request.param == "attach" else
                     [lab.slirp4netns, "--configure", "--enable-ipv6", "--enable-sandbox", "--enable-seccomp", "-r", "{ready}"])
            tap = [] if request.param == "attach" else ["tap0"]
            process, log = started(lab, [*words, str(container.pid), *tap])
            stack.callback(lab.stop, process)
            made = Form(lab, process, log, container.command)
            made.container = container
        made.how = request.param
        wait_for(lambda: made.run("ip -6 addr show dev tap0 scope global").stdout.strip() != "", 10, "IPv6")
        yield made


def restore(lab):
    """The host's interface to the world, as the lab has made it."""
    lab.host.ip("link", "set", "h-wan", "up")
    for words in (["addr", "flush", "dev", "h-wan", "scope", "global"], ["route", "flush", "default"], ["-6", "route", "flush", "default"]):
        lab.host.run(["ip", *words], check=False, stderr=subprocess.DEVNULL)
    address(lab.host, "h-wan", f"{HOST4}/24", f"{HOST6}/64", f"{HOST4_SECOND}/24", f"{HOST6_SECOND}/64 preferred_lft 0")
    lab.host.ip("route", "add", "default", "via", WAN4, "src", HOST4)
    lab.host.ip("-6", "route", "add", "default", "via", WAN6, "src", HOST6)


@pytest.fixture
def wan(lab):
    yield
    restore(lab)


def test_the_wan_goes_down_and_comes_back(lab, wan, form):
    """Flows live on, as the host's sockets do; new ones are refused at once meanwhile, and names too."""
    talk = form.talker()
    assert talk() == ALL
    lab.host.ip("link", "set", "h-wan", "down")
    start = time.monotonic()
    refused = form.run(f"curl -sS --max-time 20 http://{WAN4}/", check=False)
    assert refused.returncode == 7, refused.stderr
    assert form.who() == ""
    assert time.monotonic() - start < 15
    restore(lab)
    form.works()
    assert talk() == ALL
    assert form.messages() == ""


def test_the_hosts_addresses_change(lab, wan, form):
    """Connections that have the old address wait until it is back, or end as the kernel says; all others go on."""
    talk = form.talker()
    assert talk() == ALL
    lab.host.ip("addr", "del", f"{HOST4}/24", "dev", "h-wan")
    lab.host.run(["ip", "addr", "flush", "dev", "h-wan", "scope", "global"], check=False)
    address(lab.host, "h-wan", "198.51.100.20/24", "2001:db8:1::20/64")
    lab.host.run(["ip", "route", "replace", "default", "via", WAN4])
    lab.host.run(["ip", "-6", "route", "replace", "default", "via", WAN6])
    form.works()
    assert form.run(f"nc -N {WAN4} 5005 < /dev/null").stdout.split()[0] == "198.51.100.20"
    assert form.run(f"nc -N {WAN6} 5005 < /dev/null").stdout.split()[0] == "2001:db8:1::20"
    assert talk("udp4") == "udp4"
    restore(lab)
    assert talk() == ALL
    assert form.messages() == ""


@pytest.mark.core
def test_the_tap_is_deleted_from_inside(lab, form):
    """CMD goes on without a network, which one line says, and is still sent signals; the others end."""
    form.run("ip link del tap0")
    if form.how == "run":
        wait_for(lambda: "TAP" in form.messages(), 5, "the line")
        assert len(form.messages().splitlines()) == 1, form.messages()
        assert form.process.poll() is None
        form.process.send_signal(signal.SIGTERM)
        assert form.process.wait(5) == 128 + signal.SIGTERM
    else:
        assert form.process.wait(10) == 0
        assert form.messages() == ""


@pytest.mark.core
@pytest.mark.parametrize("threads", [2, 4])
def test_a_command_outlives_the_tap_with_several_threads(lab, threads):
    """Each of them ends, and says so; the last word is CMD's all the same."""
    with Guest(lab, f"--threads={threads}") as guest:
        form = Form(lab, guest.process, guest.log, guest.command)
        form.how = "run"
        form.run("ip link del tap0")
        wait_for(lambda: "TAP" in form.messages(), 5, "the line")
        time.sleep(0.5)
        assert form.process.poll() is None, form.messages()
        assert len(form.messages().splitlines()) == 1, form.messages()
        form.process.send_signal(signal.SIGTERM)
        assert form.process.wait(5) == 128 + signal.SIGTERM


@pytest.mark.core
def test_the_tap_is_set_down_and_up_from_inside(form):
    """The guest's own routes go with it; with them back, all goes on."""
    talk = form.talker()
    assert talk() == ALL
    form.run("ip -6 addr show dev tap0 scope global | sed -n 's/.*inet6 \\(fd00[^ ]*\\) .*/\\1/p' > /tmp/address6-$$.new; "
             "ip link set tap0 down; sleep 1; ip link set tap0 up; ip route replace default via 10.0.2.2; "
             "while read a; do ip addr replace $a dev tap0 nodad; done < /tmp/address6-$$.new; rm /tmp/address6-$$.new; "
             "ip -6 route replace default via fd00::2 dev tap0")
    assert talk() == ALL
    form.works()
    assert form.messages() == ""


@pytest.mark.parametrize("form", ["path"], indirect=True)
def test_path_is_unmounted(form, request):
    """The namespace ends with it, and the program ends in good order."""
    session = request.getfixturevalue("session")  # noqa: F811
    session.run("umount net")
    assert form.process.wait(10) == 0
    assert form.messages() == ""
    assert not session.mounted()


BOUND = """
touch {path}
unshare -n sh -c 'mount --bind /proc/self/ns/net {path}'
{program} attach --configure --ready-fd 3 {path} 3>{ready} 2>{log} &
read go
umount {path}
wait $!
echo status $?
"""


def test_path_of_attach_is_unmounted(lab, nothing_left):
    names = {name: lab.path(name) for name in ("path", "ready", "log")}
    shell = lab.user_popen(["unshare", "-rm", "sh", "-c", BOUND.format(program=lab.binary, **names)], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE)
    try:
        wait_for(lambda: names["ready"].exists() and names["ready"].read_text() == "1", 15, "it to be ready")
        assert shell.communicate("go\n", timeout=10)[0] == "status 0\n"
        assert names["log"].read_text() == ""
    finally:
        for pid in children(shell.pid):
            kill(pid)
        lab.stop(shell)


def test_resolv_conf_goes_and_comes(lab, form):
    """Replaced and emptied is done as it says; where it is gone, those known before are asked. All of it ends."""
    with lab.resolv_conf(f"nameserver {WAN4}\n") as path:
        wait_for(lambda: form.who() == "wan", 10, "the first server")
        new = path.with_name("resolv.conf.new")
        new.write_text(f"nameserver {WAN4_SECOND}\n")
        new.rename(path)
        wait_for(lambda: form.who() == "second", 10, "the second one")
        for fault in ("empty", "gone", "dangling"):
            path.unlink()
            if fault == "empty":
                path.write_text("")
            elif fault == "dangling":
                path.symlink_to("/run/nowhere/resolv.conf")
            time.sleep(1.1)  # it is looked at once per second
            assert (fault, form.who()) == (fault, "" if fault == "empty" else "second")
            path.unlink(missing_ok=True)
            path.write_text(f"nameserver {WAN4}\n")
            wait_for(lambda: form.who() == "wan", 10, f"the first one, after {fault}")
            path.write_text(f"nameserver {WAN4_SECOND}\n")
            if "--threads" in os.environ.get("SF_TEST_OPTIONS", ""):
                time.sleep(1.1)  # else it may be a thread's that has not looked since the last time that this one was there
            wait_for(lambda: form.who() == "second", 10, f"the second one, after {fault}")
    assert form.messages() == ""


def processor_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_standing_still(form):
    """SIGSTOP and SIGCONT, with bytes on their way both ways: flows go on, and nothing is made up for in a storm."""
    talk = form.talker()
    assert talk() == ALL
    bulk = subprocess.Popen(form.enter(["bash", "-c", f"head -c 300000000 /dev/zero | nc -N {WAN4} 5003"]), stdout=subprocess.PIPE,
                            text=True, env=form.lab.user_environment())
    family = [form.program, *(pid for pid in children(form.program) if "slirp" in pathlib.Path(f"/proc/{pid}/comm").read_text())]
    time.sleep(0.2)
    for pid in family:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(SECONDS)
    for pid in family:
        os.kill(pid, signal.SIGCONT)
    assert bulk.communicate(timeout=60)[0].split()[1] == "300000000"
    assert talk() == ALL
    form.works()
    before = processor_seconds(form.program)
    time.sleep(2)
    assert processor_seconds(form.program) - before < 0.2
    assert form.messages() == ""
