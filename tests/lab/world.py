"""Enter the lab's world: private user (if not root), mount, PID and network namespaces.

Everything that the lab makes lives inside these namespaces, so it ends with them: PID 1 of the world dies, and the
kernel kills every process in it, unmounts its file systems and removes its interfaces. That holds for Ctrl-C, a failed
test and SIGKILL alike. What the world changes of the machine's view (/etc, /run, /dev/net/tun, newuidmap) are mounts
of its own mount namespace.
"""

import ctypes
import os
import pathlib
import pwd
import shutil
import signal
import stat
import subprocess
import sys

from . import machine

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND = 2, 4, 8, 4096
MS_REC, MS_PRIVATE = 16384, 1 << 18
PR_SET_PDEATHSIG = 1

USER, USER_ID = "sftest", 5000
ROOT = pathlib.Path("/run/lab")  # in the world's own tmpfs
HOME = pathlib.Path("/media")  # of the unprivileged user; not below /run, as its BIN
BIN = pathlib.Path("/usr/local/bin")  # covered by the world's own: the program under test is what users would type
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]

_libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """The lab cannot be made here; the text says what to do."""


def _check(result, what):
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def unshare(flags):
    _check(_libc.unshare(flags), "unshare")


def mount(source, target, kind=None, flags=0, options=None):
    def encode(value):
        return None if value is None else str(value).encode()

    _check(_libc.mount(encode(source), encode(target), encode(kind), flags, encode(options)), f"mount on {target}")


def die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def inside():
    return os.environ.get("SF_LAB") == "1"


# --- identity -----------------------------------------------------------------------------------------------------


def mapped_ids(kind="uid"):
    """How many ids from 0 up this user namespace has; 2^32-1 in the initial one."""
    count = 0
    for line in sorted(pathlib.Path(f"/proc/self/{kind}_map").read_text().splitlines(), key=lambda s: int(s.split()[0])):
        start, _, length = map(int, line.split())
        if start == count:
            count += length
    return count


def in_initial_user_namespace():
    return pathlib.Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]


def _subordinate_ranges(path):
    me = pwd.getpwuid(os.getuid()).pw_name
    ranges = []
    try:
        text = pathlib.Path(path).read_text()
    except OSError:
        return ranges
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) == 3 and fields[0] in (me, str(os.getuid())):
            ranges.append((int(fields[1]), int(fields[2])))
    return ranges


def _map_ids(pid, tool, own_id, ranges):
    arguments, inside_id = ["0", str(own_id), "1"], 1
    for start, count in ranges:
        arguments += [str(inside_id), str(start), str(count)]
        inside_id += count
    return subprocess.run([tool, str(pid), *arguments], check=False).returncode == 0


def _write_maps(pid):
    """From outside the new user namespace: all subordinate ids if the machine has them, else the single mapping."""
    uids, gids = _subordinate_ranges("/etc/subuid"), _subordinate_ranges("/etc/subgid")
    if uids and gids and shutil.which("newuidmap") and shutil.which("newgidmap"):
        if _map_ids(pid, "newuidmap", os.getuid(), uids) and _map_ids(pid, "newgidmap", os.getgid(), gids):
            return
    base = pathlib.Path(f"/proc/{pid}")
    (base / "setgroups").write_text("deny")
    (base / "uid_map").write_text(f"0 {os.getuid()} 1")
    (base / "gid_map").write_text(f"0 {os.getgid()} 1")


# --- what the world sees of the machine -----------------------------------------------------------------------------


def _private_etc():
    """A writable copy of /etc, so that tests may edit resolv.conf as a DHCP client or a symlink switch would."""
    etc = ROOT / "etc"
    etc.mkdir()
    # Files that only the machine's root can read are not needed, hence no check.
    subprocess.run(["cp", "-a", "/etc/.", str(etc)], stderr=subprocess.DEVNULL, check=False)
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n")
    (etc / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    # Debian's dhclient-script waits for ever for a writable /etc, which no rootless namespace has.
    hooks = etc / "dhcp/dhclient-enter-hooks.d"
    if hooks.is_dir():
        (hooks / "rootless").write_text("make_resolv_conf() { :; }\n")
    for name in ("subuid", "subgid", "resolv.conf"):
        (etc / name).unlink(missing_ok=True)
    (etc / "resolv.conf").write_text("nameserver 198.51.100.2\nsearch lab.test\n")
    limit = min(mapped_ids("uid"), mapped_ids("gid"))
    start = 100000 if limit > 200000 else 10000
    for name in ("subuid", "subgid"):
        (etc / name).write_text(f"{USER}:{start}:{min(65536, limit - start)}\n" if limit > 20000 else "")
    for name, entry in (("passwd", f"{USER}:x:{USER_ID}:{USER_ID}::{HOME}:/bin/sh"), ("group", f"{USER}:x:{USER_ID}:")):
        kept = [line for line in (etc / name).read_text().splitlines() if not line.startswith(f"{USER}:")]
        (etc / name).write_text("\n".join(kept + [entry]) + "\n")
    mount(etc, "/etc", flags=MS_BIND)


def _tun_device():
    tun = pathlib.Path("/dev/net/tun")
    if not tun.exists():
        raise LabError("/dev/net/tun is missing: load the module with 'modprobe tun', or pass the device into the container")
    if stat.S_IMODE(tun.stat().st_mode) & 0o006 == 0o006:
        return
    if not in_initial_user_namespace():
        raise LabError("/dev/net/tun cannot be opened by every user: run 'chmod 0666 /dev/net/tun' as root")
    node = ROOT / "tun"
    os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(10, 200))
    os.chmod(node, 0o666)
    mount(node, tun, flags=MS_BIND)


def _setuid_map_tools():
    """In a user namespace the machine's root is not mapped, so its setuid bits do nothing: give the world its own."""
    if in_initial_user_namespace():
        return
    for name in ("newuidmap", "newgidmap"):
        found = shutil.which(name)
        if found and mapped_ids() > 20000:
            copy = ROOT / "bin" / name
            shutil.copyfile(found, copy)
            copy.chmod(0o4755)
            mount(copy, found, flags=MS_BIND)


def _install(binary, name):
    """A copy that the unprivileged user can reach, wherever the checkout is."""
    if binary and pathlib.Path(binary).is_file():
        shutil.copyfile(binary, ROOT / "bin" / name)
        (ROOT / "bin" / name).chmod(0o755)


def _furnish(binaries):
    mount(None, "/", flags=MS_REC | MS_PRIVATE)
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    loaded = {name: pathlib.Path(path).resolve() for name, path in binaries.items() if path}
    staged = {}
    for name, path in loaded.items():  # before /run is covered, in case they are below it
        if path.is_file():
            staged[name] = os.open(path, os.O_RDONLY)
    mount("tmpfs", "/run", "tmpfs", options="mode=755,size=4g")
    mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")  # Podman keeps its locks there
    for name in ("bin", "home", "log"):
        (ROOT / name).mkdir(parents=True)
    for path, mode in ((ROOT / "tmp", 0o1777), (ROOT / "log", 0o1777), ("/run/netns", 0o755), ("/run/lock", 0o1777)):
        path = pathlib.Path(path)
        path.mkdir(exist_ok=True)
        path.chmod(mode)
    for name, descriptor in staged.items():
        _install(f"/proc/self/fd/{descriptor}", name)
        os.close(descriptor)
    # The name by which it behaves as slirp4netns, in a folder of its own: /usr/bin may have the real one.
    (ROOT / "bin/compat").mkdir()
    (ROOT / "bin/compat/slirp4netns").symlink_to("../slirp-forwarder")
    # The program is on the PATH, and neither it nor the home is below /run: a user may well mount something there.
    mount(ROOT / "bin", BIN, flags=MS_BIND)
    mount(ROOT / "home", HOME, flags=MS_BIND)
    _private_etc()
    _tun_device()
    _setuid_map_tools()
    if mapped_ids() > USER_ID:
        os.chown(ROOT / "home", USER_ID, USER_ID)
    else:
        (ROOT / "home").chmod(0o777)


def _environment():
    env = dict(os.environ, SF_LAB="1", TMPDIR=str(ROOT / "tmp"), SLIRP_FORWARDER=str(BIN / "slirp-forwarder"))
    env["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    env["PYTHONPATH"] = str(pathlib.Path(__file__).resolve().parents[1])
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    for name in list(env):
        if name.startswith("PYENV") or name in ("VIRTUAL_ENV", "PYTHONHOME", "LD_LIBRARY_PATH"):
            del env[name]
    return env


# --- the processes --------------------------------------------------------------------------------------------------


def _reap_until(pid):
    """As PID 1: collect every orphan; the answer is the exit status of our own command."""
    while True:
        try:
            done, status = os.wait()
        except InterruptedError:
            continue
        if done == pid:
            return os.waitstatus_to_exitcode(status)


def _first_process(command, binaries):
    """PID 1 of the world. Returns the exit status of `command`."""
    die_with_parent()
    _furnish(binaries)
    child = os.fork()
    if child == 0:
        try:
            os.execvpe(command[0], command, _environment())
        except OSError as error:
            print(f"lab: cannot start {command[0]}: {error.strerror}", file=sys.stderr)
        os._exit(127)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the command as well
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    code = _reap_until(child)
    return code if code >= 0 else 128 - code


def _guarded(function, *arguments):
    """Run in a forked child: never return into the parent's code."""
    code = 1
    try:
        code = function(*arguments)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
    except OSError as error:
        print(f"lab: cannot set up the world: {error}", file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _enter(command, binaries, need_user, ready, mapped):
    die_with_parent()
    if need_user:
        try:
            unshare(CLONE_NEWUSER)
        except OSError as error:
            raise LabError(f"user namespaces do not work here ({error.strerror}): see user.max_user_namespaces, "
                           "kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns") from error
        os.write(ready, b"x")
        if os.read(mapped, 1) != b"y":
            raise LabError("the ids of the user namespace could not be mapped")
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)
    first = os.fork()
    if first == 0:
        _guarded(_first_process, command, binaries)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(first, signal.SIGTERM))
    return _wait(first)


def _wait(pid):
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else 128 - code


def run(command, binaries):
    """Run `command` in a new world. `binaries`: name in the world -> path on the machine. Returns an exit status."""
    need_user = os.geteuid() != 0
    ready_read, ready = os.pipe()
    mapped, mapped_write = os.pipe()
    with machine.cubic_by_default():
        outer = os.fork()
        if outer == 0:
            os.close(ready_read)
            os.close(mapped_write)
            _guarded(_enter, command, binaries, need_user, ready, mapped)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: os.kill(outer, signal.SIGTERM))
        os.close(ready)
        os.close(mapped)
        if need_user and os.read(ready_read, 1) == b"x":
            try:
                _write_maps(outer)
                os.write(mapped_write, b"y")
            except OSError as error:
                print(f"lab: cannot map ids: {error}", file=sys.stderr)
        os.close(mapped_write)
        return _wait(outer)
