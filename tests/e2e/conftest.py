"""Fixtures of the end-to-end tests. They run inside the lab's world; pytest started outside enters it by itself."""

import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lab import content, world  # noqa: E402
from lab.engines import Engines  # noqa: E402
from lab.guest import Guest, wait_for  # noqa: E402
from lab.named_servers import NamedServers  # noqa: E402
from lab.network import SINGLE_USER, Lab  # noqa: E402

TEST_SECONDS = int(os.environ.get("TEST_SECONDS", "150"))  # nothing here takes half as long


def pytest_configure(config):
    config.addinivalue_line("markers", "core: unusual input and data on its way through the program: the sanitized build runs it as well")
    config.addinivalue_line("markers", "load: measures shares of a machine that nothing else may use meanwhile: `make test-load`")
    config.addinivalue_line("markers", "release: measures time or memory, which the sanitizers change")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    if world.inside() or config.option.collectonly:
        return None
    capture = config.pluginmanager.getplugin("capturemanager")
    capture.suspend_global_capture(in_=True)
    command = [sys.executable if sys.executable.startswith("/usr/") else "/usr/bin/python3"]
    lab = pathlib.Path(world.__file__).with_name("lab.py")
    return subprocess.call([*command, str(lab), "pytest", *sys.argv[1:]])


def is_sanitized():
    try:
        return b"__asan_init" in pathlib.Path(os.environ["SLIRP_FORWARDER"]).read_bytes()
    except (KeyError, OSError):
        return False


def pytest_addoption(parser):
    parser.addoption("--part", default="1/1", metavar="K/N",
                     help="the Kth of N parts, by whole files: each can run in a lab of its own, side by side")


def select_part(config, items):
    part, parts = (int(number) for number in config.getoption("--part").split("/"))
    sizes = {}
    for item in items:
        sizes[item.path] = sizes.get(item.path, 0) + 1
    loads = [0] * parts
    mine = set()
    for path, size in sorted(sizes.items(), key=lambda entry: (-entry[1], entry[0])):
        lightest = loads.index(min(loads))
        loads[lightest] += size
        if lightest == part - 1:
            mine.add(path)
    config.hook.pytest_deselected(items=[item for item in items if item.path not in mine])
    items[:] = [item for item in items if item.path in mine]


def pytest_collection_modifyitems(config, items):
    select_part(config, items)
    if is_sanitized():
        skip = pytest.mark.skip(reason="measures what the sanitizers change")
        for item in items:
            if item.get_closest_marker("release"):
                item.add_marker(skip)


@pytest.fixture(autouse=True)
def time_limit(request):
    def expired(*_):
        raise TimeoutError(f"{request.node.name} took more than {TEST_SECONDS} s")

    signal.signal(signal.SIGALRM, expired)
    signal.alarm(TEST_SECONDS)
    yield
    signal.alarm(0)


@pytest.fixture(scope="session")
def sanitized():
    return is_sanitized()


@pytest.fixture(scope="session")
def lab():
    binary = pathlib.Path(os.environ["SLIRP_FORWARDER"])
    if not binary.exists():
        pytest.exit("the program under test is missing: run 'make build', or set SLIRP_FORWARDER to it", returncode=2)
    with Lab() as it:
        yield it


@pytest.fixture(scope="module")
def servers(lab):
    """Servers to be told apart by name."""
    it = NamedServers(lab)
    yield it
    it.close()


@pytest.fixture(scope="session")
def bulk(lab, sanitized):
    """A file that wan serves as /file/bulk: (path, size, SHA-256). 1 GiB, or less where sanitizers slow things."""
    size = (128 << 20) if sanitized else (1 << 30)
    path = lab.tmp / "bulk"
    digest = content.write(path, size)
    path.chmod(0o644)
    yield path, size, digest
    path.unlink()


@pytest.fixture
def make_guest(lab):
    """make_guest(*options) -> a Guest that ends with the test."""
    guests = []

    def make(*options, **keywords):
        guest = Guest(lab, *options, **keywords)
        guest.__enter__()
        guests.append(guest)
        return guest

    yield make
    for guest in guests:
        guest.close()
        complain(guest)


@pytest.fixture(scope="module")
def module_guest(lab):
    with Guest(lab) as it:
        yield it
    complain(it)


@pytest.fixture
def guest(module_guest):
    """A guest with default options, shared by the tests of a file; each test checks that it survived."""
    yield module_guest
    assert module_guest.process.poll() is None, f"the program ended during the test: {module_guest.messages()}"
    complain(module_guest)


def complain(guest):
    found = re.search(r"(Sanitizer|runtime error:|terminate called).*", guest.messages())
    assert not found, f"the program reported a fault:\n{guest.messages()[-8000:]}"


@pytest.fixture
def ranges(lab):
    if lab.mode == SINGLE_USER:
        pytest.skip("this machine's user has no subordinate ids, so the lab has none to map")


@pytest.fixture(scope="session")
def engines(lab):
    """Podman, Buildah and RootlessKit, with the program under test as their slirp4netns."""
    if lab.mode == SINGLE_USER:
        pytest.skip("rootless engines need subordinate ids, and this machine's user has none that the lab could give")
    return Engines(lab)


def _namespaces(kind):
    """The namespaces of one kind that any process here or any mount holds open."""
    found = set()
    for link in pathlib.Path("/proc").glob(f"[0-9]*/ns/{kind}"):
        try:
            found.add(os.readlink(link))
        except OSError:
            pass
    return found


def _processes():
    return {int(path.name) for path in pathlib.Path("/proc").glob("[0-9]*")}


def _describe(pids):
    lines = []
    for pid in sorted(pids):
        try:
            lines.append(f"{pid}: {pathlib.Path(f'/proc/{pid}/cmdline').read_bytes().decode().replace(chr(0), ' ')}")
        except OSError:
            pass
    return "\n".join(lines)


@pytest.fixture
def nothing_left(lab):
    """After the test: no process, mount or namespace more than before it (kernel threads of the world: none)."""
    before = _processes(), pathlib.Path("/proc/self/mountinfo").read_text(), _namespaces("net"), _namespaces("mnt")
    yield

    def clean():
        return not (_processes() - before[0] or _namespaces("net") - before[2] or _namespaces("mnt") - before[3])

    try:
        wait_for(clean, 5, "everything to be gone")
    except AssertionError:
        raise AssertionError(f"left behind:\n{_describe(_processes() - before[0])}\n"
                             f"net {_namespaces('net') - before[2]} mnt {_namespaces('mnt') - before[3]}") from None
    assert pathlib.Path("/proc/self/mountinfo").read_text() == before[1]
