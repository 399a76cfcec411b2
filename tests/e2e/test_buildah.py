"""Buildah, rootless, with the program under test as its slirp4netns: release 1.28 takes the first one of the PATH."""

import os
import re
import subprocess

import pytest

from lab import content
from lab.engines import IMAGE
from lab.guest import wait_for
from lab.network import HOST4, WAN4


@pytest.fixture(autouse=True)
def clean(engines, nothing_left):
    yield
    engines.buildah("rm", "--all")
    engines.try_run("buildah", "rmi", "--force", "localhost/made")
    wait_for(lambda: not engines.forwarders(), 5, "the end of the containers' slirp4netns")


@pytest.fixture
def container(engines):
    """The name of a fresh working container."""
    return engines.buildah("from", IMAGE).strip()


@pytest.fixture
def build(engines):
    """build(*lines) -> the finished `buildah bud` of a Containerfile of these lines."""

    def run(*lines, name="localhost/made"):
        context = engines.lab.path("context")
        context.mkdir()
        (context / "Containerfile").write_text("\n".join([f"FROM {IMAGE}", *lines]) + "\n")
        return engines.try_run("buildah", "bud", "--tag", name, context)

    return run


def test_run_by_address_and_by_name(engines, container):
    script = f"wget -qO- http://{WAN4}/peer; wget -qO- http://v4.lab.test/peer; nslookup far.lab.test 10.0.2.3; ip -o addr"
    out = engines.buildah("run", container, "sh", "-c", script)
    assert [line.split()[0] for line in out.splitlines()[:2]] == [HOST4, HOST4]
    assert "203.0.113.2" in out
    assert "inet 10.0.2.100/24" in out


def test_the_program_under_test_is_the_one_that_runs(engines, container):
    process = engines.popen("buildah", "run", container, "sh", "-c", "echo up; cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == "up\n"
        ((pid, words),) = engines.forwarders().items()
        assert os.path.realpath(f"/proc/{pid}/exe") == os.path.realpath(engines.slirp4netns)
        assert re.fullmatch(r"--mtu 65520 -r 3 -c \d+ tap0", " ".join(words[1:])), words
    finally:
        process.stdin.close()
        assert process.wait(10) == 0


def test_a_step_that_fetches(engines, build, lab):
    """What a RUN step got from a server in the lab, by its name, is in the image."""
    path = lab.tmp / "fetched"
    digest = content.write(path, 32 << 20)
    path.chmod(0o644)
    done = build("RUN wget -qO /got http://wan.lab.test/file/fetched", "RUN sha256sum /got > /sum && rm /got")
    assert done.returncode == 0, done.stderr
    made = engines.buildah("from", "localhost/made").strip()
    assert engines.buildah("run", "--network", "none", made, "cat", "/sum").split()[0] == digest
    path.unlink()


def test_readme_example(engines, lab):
    """The program under test comes first in the PATH by README.md's line alone."""
    context = lab.path("context")
    context.mkdir()
    step = f"wget -qO- http://{WAN4}/peer; nc -w 5 10.0.2.2 8099; sleep 1"
    (context / "Containerfile").write_text(f"FROM {IMAGE}\nRUN {step}\n")
    line = f"cd {context} && {engines.readme('PATH=')}"
    process = engines.popen("sh", "-c", line, env={"PATH": os.environ["PATH"]}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_for(engines.forwarders, 20, "slirp4netns")
    (pid,) = engines.forwarders()
    assert os.path.realpath(f"/proc/{pid}/exe") == os.path.realpath(engines.slirp4netns)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert f"\n{HOST4} " in out
    assert "\n127.0.0.1 " in out, "the host's loopback is open"


def test_a_step_that_is_refused(build):
    done = build(f"RUN wget -qO /got http://{WAN4}:1/")
    assert done.returncode != 0
    assert "Connection refused" in done.stderr


def test_two_builds_at_once(engines, lab):
    context = lab.path("context")
    context.mkdir()
    (context / "Containerfile").write_text(f"FROM {IMAGE}\nRUN wget -qO- http://v4.lab.test/peer; sleep 0.5\n")
    words = ["buildah", "bud", "--no-cache", "--tag", "localhost/made", context]
    both = [engines.popen(*words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(2)]
    for process in both:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0, out
        assert f"\n{HOST4} " in out
