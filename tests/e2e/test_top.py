"""top: in a real terminal (tmux), with traffic, keys, other sizes, and all the ways in which it ends."""

import os
import re
import signal
import subprocess
import time

import pytest

from lab.guest import said, wait_for
from lab.network import FAR4, WAN4


@pytest.fixture
def runtime(lab):
    path = lab.path("runtime")
    assert lab.user_run(["mkdir", "-m", "700", path]).returncode == 0
    return path


@pytest.fixture
def listed(make_guest, runtime):
    return lambda *options: make_guest(*options, env={"XDG_RUNTIME_DIR": str(runtime)})


class Tmux:
    """A terminal with a shell in it."""

    def __init__(self, lab, environment):
        self.lab = lab
        self.environment = {"ENV": "", "PS1": "$ ", **environment}
        self.socket = lab.path("tmux")
        self.run("-f", "/dev/null", "new-session", "-d", "-x", "110", "-y", "30", "/bin/sh")
        self.wait_for(lambda screen: "$" in screen)

    def run(self, *words):
        done = self.lab.user_run(["tmux", "-S", self.socket, *words], env=self.environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def keys(self, *keys):
        self.run("send-keys", *keys)

    def line(self, text):
        self.keys("-l", text)
        self.keys("Enter")

    def screen(self):
        return self.run("capture-pane", "-p")

    def wait_for(self, condition, timeout=15):
        last = []
        try:
            return wait_for(lambda: condition(last.append(self.screen()) or last[-1]), timeout, "the screen", 0.1)
        except AssertionError:
            raise AssertionError("not seen on the screen:\n" + last[-1]) from None

    def resize(self, columns, rows):
        self.run("resize-window", "-x", str(columns), "-y", str(rows))

    def state(self):
        """What stty says, and the cursor and the screen as tmux has them."""
        path = self.lab.path("stty")
        self.line(f"clear; stty -a >{path}.new; mv {path}.new {path}")
        wait_for(path.exists, 10, "stty")
        return path.read_text(), self.run("display-message", "-p", "#{alternate_on} #{cursor_flag} #{wrap_flag}")

    def close(self):
        self.lab.user_run(["tmux", "-S", self.socket, "kill-server"], env=self.environment)


@pytest.fixture
def tmux(lab, runtime):
    terminals = []

    def make(**environment):
        terminals.append(Tmux(lab, {"XDG_RUNTIME_DIR": str(runtime), **environment}))
        return terminals[-1]

    yield make
    for terminal in terminals:
        terminal.close()


DOWNLOAD = """
import socket
s = socket.create_connection(({address!r}, 7), 5)
while True:
    s.sendall(b'x' * 20000)
    got = 0
    while got < 20000:
        got += len(s.recv(65536))
"""


@pytest.fixture
def busy(lab, listed):
    """A guest with a connection that never rests and one that does."""
    guest = listed()
    idle = guest.popen(["/usr/bin/python3", "-c", f"import socket, time\ns = socket.create_connection(('{WAN4}', 9), 5)\ntime.sleep(99)"])
    traffic = guest.popen(["/usr/bin/python3", "-c", DOWNLOAD.format(address=WAN4)])
    yield guest
    lab.stop(traffic)
    lab.stop(idle)


def rows_of(screen):
    return [line for line in screen.splitlines() if re.match(r"(tcp|udp|icmp) ", line)]


def test_shows_sorts_resizes_and_quits(lab, tmux, busy):
    terminal = tmux()
    before = terminal.state()
    terminal.line(f"{lab.binary} top --interval 0.3; echo status=$?")
    screen = terminal.wait_for(lambda it: it if re.search(r"^tcp .*:7 .* [KM]iB/s +[\d.]+ [KM]iB/s", it, re.M) and ("▁" in it or "█" in it) else None)
    title, *_ = screen.splitlines()
    assert re.match(rf"slirp-forwarder {busy.forwarder}  up \d+s  10\.0\.2\.100 fd00::100  sh -c", title), screen
    assert re.search(r"^from guest +[\d.]+ [KM]iB/s .* max ", screen, re.M) and re.search(r"^to guest +[\d.]+ [KM]iB/s", screen, re.M)
    assert re.search(r"^flows 2   TCP connections 2 ", screen, re.M) and "refused 0" in screen and "dropped " in screen
    terminal.wait_for(lambda it: "█" in it)
    assert [re.search(r":(7|9) ", row)[1] for row in rows_of(screen)] == ["7", "9"]
    # Another order: by remote end, and the other way round.
    terminal.keys("s", "s", "s")
    screen = terminal.wait_for(lambda it: it if "sort: remote" in it else None)
    assert [re.search(r":(7|9) ", row)[1] for row in rows_of(screen)] == ["7", "9"]
    terminal.keys("r")
    terminal.wait_for(lambda it: "reversed" in it and [re.search(r":(7|9) ", row)[1] for row in rows_of(it)] == ["9", "7"])
    # The list stands still, and goes on.
    terminal.keys("Space")
    screen = terminal.wait_for(lambda it: it if "paused" in it else None)
    terminal.keys("Space")
    terminal.wait_for(lambda it: "paused" not in it)
    # Smaller and larger: no line is longer than the screen, the last one stands at the end.
    for columns, rows in ((60, 12), (140, 40), (20, 5), (110, 30)):
        terminal.resize(columns, rows)
        screen = terminal.wait_for(lambda it, rows=rows: it if it.splitlines()[rows - 1:rows] and it.splitlines()[rows - 1].startswith("q quit") else None)
        assert len(screen.splitlines()) == rows and all(len(line) <= columns for line in screen.splitlines())
    terminal.keys("q")
    terminal.wait_for(lambda it: "status=0" in it and "sort:" not in it)
    assert terminal.state() == before


def test_scrolls(lab, tmux, listed):
    guest = listed()
    code = f"""
import socket, sys
kept = [socket.create_connection(('{WAN4}', 9), 5) for _ in range(60)]
print('connected', flush=True)
sys.stdin.read()
"""
    client = guest.popen(["/usr/bin/python3", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert client.stdout.readline() == "connected\n"
    terminal = tmux()
    terminal.line(f"{lab.binary} top --interval 0.3 {guest.forwarder}")
    terminal.wait_for(lambda it: "1-22 of 60" in it)
    terminal.keys("Down", "Down", "j")
    terminal.wait_for(lambda it: "4-25 of 60" in it)
    terminal.keys("PageDown")
    terminal.wait_for(lambda it: "26-47 of 60" in it)
    terminal.keys("End")
    terminal.wait_for(lambda it: "39-60 of 60" in it and len(rows_of(it)) == 22)
    terminal.keys("Up", "k", "PageUp")
    terminal.wait_for(lambda it: "15-36 of 60" in it)
    terminal.keys("Home")
    terminal.wait_for(lambda it: "1-22 of 60" in it)
    client.stdin.close()
    terminal.keys("C-c")
    terminal.wait_for(lambda it: "sort:" not in it)


@pytest.mark.parametrize("how", ["term", "hup", "stop", "interrupt"])
def test_signals(lab, tmux, busy, how):
    terminal = tmux()
    before = terminal.state()
    terminal.line(f"{lab.binary} top --interval 0.3; echo status=$?")
    terminal.wait_for(lambda it: "sort:" in it)
    top = int(lab.user_run(["pgrep", "-u", "sftest", "-nf", "slirp-forwarder top"]).stdout)
    if how == "stop":
        # In a script's job control the shell may not take it back: stopped and continued from outside.
        os.kill(top, signal.SIGTSTP)
        wait_for(lambda: open(f"/proc/{top}/stat", encoding="utf-8").read().split(") ")[1][0] == "T", 5, "it to be stopped")
        terminal.wait_for(lambda it: "sort:" not in it)
        terminal.line("fg")
        terminal.wait_for(lambda it: "sort:" in it)
        terminal.keys("q")
    elif how == "interrupt":
        terminal.keys("C-c")
    else:
        os.kill(top, signal.SIGTERM if how == "term" else signal.SIGHUP)
    status = {"term": 143, "hup": 129, "stop": 0, "interrupt": 0}[how]
    terminal.wait_for(lambda it: (f"status={status}" in it or how == "stop") and "sort:" not in it)
    assert terminal.state() == before


def state_of(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return file.read().split(") ")[1][0]


def test_in_the_background(lab, tmux, busy):
    """Continued there, it neither draws nor stops again; a signal ends it there; in the foreground it goes on."""
    terminal = tmux()
    before = terminal.state()

    def stopped():
        terminal.line(f"{lab.binary} top --interval 0.3; echo status=$?")
        terminal.wait_for(lambda it: "sort:" in it)
        pid = int(lab.user_run(["pgrep", "-u", "sftest", "-nf", "slirp-forwarder top"]).stdout)
        terminal.keys("C-z")
        wait_for(lambda: state_of(pid) == "T", 5, "it to be stopped")
        terminal.wait_for(lambda it: "sort:" not in it and "status=" in it)
        return pid

    top = stopped()
    os.kill(top, signal.SIGCONT)
    wait_for(lambda: state_of(top) != "T", 5, "it to be continued")
    time.sleep(1)
    assert state_of(top) != "T" and "sort:" not in terminal.screen()
    terminal.line("fg")
    terminal.wait_for(lambda it: "sort:" in it)
    terminal.keys("q")
    terminal.wait_for(lambda it: "sort:" not in it)
    terminal.line("clear")
    top = stopped()
    os.kill(top, signal.SIGTERM)
    os.kill(top, signal.SIGCONT)
    wait_for(lambda: not os.path.exists(f"/proc/{top}") or state_of(top) == "Z", 5, "its end")
    assert terminal.state() == before


def test_where_no_shell_could_continue_it(lab, listed, runtime):
    """Its process group is orphaned, as under ssh -t: Ctrl-Z does not stop it."""
    guest = listed()
    code = """
import os, pty, select, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
got = b''
def until(text):
    global got
    deadline = time.monotonic() + 10
    while text not in got:
        assert time.monotonic() < deadline, got
        if select.select([fd], [], [], 0.1)[0]:
            got += os.read(fd, 65536)
    got = got.split(text, 1)[1]
until(b'sort:')
os.write(fd, b'\\x1a')
until(b'1049l')
until(b'sort:')
os.write(fd, b'q')
until(b'1049l')
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    done = lab.user_run(["/usr/bin/python3", "-c", code, lab.binary, "top", str(guest.forwarder)],
                        env={"XDG_RUNTIME_DIR": str(runtime), "TERM": "xterm"})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_instance_ends(lab, tmux, listed, number):
    guest = listed()
    terminal = tmux()
    before = terminal.state()
    terminal.line(f"{lab.binary} top --interval 0.3; echo status=$?")
    terminal.wait_for(lambda it: "sort:" in it)
    guest.process.send_signal(number)
    guest.process.wait(10)
    screen = terminal.wait_for(lambda it: it if "status=0" in it else None)
    assert f"slirp-forwarder: instance {guest.forwarder} has ended\n" in screen and "sort:" not in screen
    assert terminal.state() == before


def test_one_that_does_not_answer(lab, tmux, listed):
    guest = listed()
    terminal = tmux()
    terminal.line(f"{lab.binary} top --interval 0.3; echo status=$?")
    terminal.wait_for(lambda it: "sort:" in it)
    guest.process.send_signal(signal.SIGSTOP)
    try:
        terminal.wait_for(lambda it: "does not answer" in it)
    finally:
        guest.process.send_signal(signal.SIGCONT)
    terminal.wait_for(lambda it: "does not answer" not in it and "sort:" in it)
    terminal.keys("q")
    terminal.wait_for(lambda it: "status=0" in it)


def test_refusals_and_drops(lab, tmux, listed):
    guest = listed("--deny", "203.0.113.0/24")
    guest.run(["curl", "-s", "http://203.0.113.2/"], check=False)
    terminal = tmux()
    terminal.line(f"{lab.binary} top --interval 0.3")
    screen = terminal.wait_for(lambda it: it if "refused 1" in it else None)
    assert re.search(r"^refused 1: tcp 203\.0\.113\.2:80 1$", screen, re.M), screen
    assert re.search(r"^dropped \d+:.* policy-refused 1", screen, re.M), screen
    terminal.keys("q")


def test_names_of_remote_ends(lab, tmux, listed, runtime):
    """As the guest has resolved them, over UDP and TCP, whether or not there is a flow log."""
    guest = listed()
    guest.run(["dig", "+tcp", "@10.0.2.3", "A", "far.lab.test"])
    process = guest.popen(["/usr/bin/python3", "-c", f"""
import socket, time
held = [socket.create_connection((socket.gethostbyname('wan.lab.test'), 7)), socket.create_connection(('{FAR4}', 7))]
print('connected', flush=True)
time.sleep(60)
"""], stdout=-1)
    assert process.stdout.readline() == "connected\n"
    terminal = tmux()
    terminal.line(f"{lab.binary} top --interval 0.3")
    terminal.wait_for(lambda it: "wan.lab.test:7" in it and "far.lab.test:7" in it)
    terminal.keys("q")


def test_several_instances_to_choose_from(lab, tmux, listed):
    guests = sorted((listed(), listed("--cidr", "10.7.0.0/24")), key=lambda it: it.forwarder)
    terminal = tmux()
    terminal.line(f"{lab.binary} top --interval 0.3; echo status=$?")
    screen = terminal.wait_for(lambda it: it if "Which instance?" in it else None)
    assert all(str(guest.forwarder) in screen for guest in guests) and "10.7.0.100" in screen
    terminal.keys("Down", "Enter")
    terminal.wait_for(lambda it: f"slirp-forwarder {guests[1].forwarder}  up" in it)
    terminal.keys("q")
    terminal.wait_for(lambda it: "status=0" in it)
    terminal.line(f"clear; {lab.binary} top; echo status=$?")
    terminal.wait_for(lambda it: "Which instance?" in it)
    terminal.keys("q")
    terminal.wait_for(lambda it: "status=0" in it and "Which" not in it)


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1", "LC_ALL": "C"}, {}], ids=["plain", "colours"])
def test_colours_and_bars_as_the_environment_says(lab, tmux, busy, environment):
    terminal = tmux(**environment)
    terminal.line(f"{lab.binary} top --interval 0.3")
    terminal.wait_for(lambda it: re.search(r"^to guest .*[#█].* max", it, re.M))
    shown = terminal.run("capture-pane", "-p", "-e")
    assert ("\x1b[36m" in shown or "\x1b[32m" in shown) == (not environment)
    assert shown.isascii() == bool(environment)
    terminal.keys("q")


def test_redraws_little(lab, listed, runtime):
    """Of a screen where nothing has changed but the time, a line or two are sent: some hundred bytes."""
    guest = listed()
    code = """
import os, pty, re, select, sys, termios, fcntl, struct, time
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', 30, 110, 0, 0))
sizes, last = [], time.monotonic()
deadline = last + 4
while time.monotonic() < deadline:
    if select.select([fd], [], [], 0.1)[0]:
        sizes.append(len(os.read(fd, 65536)))
os.write(fd, b'q')
while True:
    try:
        if not os.read(fd, 65536):
            break
    except OSError:
        break
print(*sizes)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    done = lab.user_run(["/usr/bin/python3", "-c", code, lab.binary, "top", str(guest.forwarder)],
                        env={"XDG_RUNTIME_DIR": str(runtime), "TERM": "xterm"})
    assert done.returncode == 0, done.stderr
    sizes = [int(size) for size in done.stdout.split()]
    assert max(sizes) > 500 and sizes[-1] < 600, sizes


def test_without_a_terminal(lab, runtime, listed):
    listed()
    env = {"XDG_RUNTIME_DIR": str(runtime), "TERM": "xterm"}
    done = lab.user_run([lab.binary, "top"], env=env, stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and not done.stdout
    assert said(done) == ["slirp-forwarder: top: standard input and output are not a terminal; use slirp-forwarder flows "
                          "--json, which prints once"]


def test_a_terminal_without_a_cursor(lab, tmux, listed):
    listed()
    terminal = tmux()
    terminal.line(f"TERM=dumb {lab.binary} top; echo status=$?")
    screen = terminal.wait_for(lambda it: it if "status=1" in it else None)
    assert "TERM is 'dumb'" in screen.replace("\n", "")
