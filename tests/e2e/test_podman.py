"""Podman, rootless, with the program under test as its slirp4netns (network_cmd_path in containers.conf)."""

import json
import os
import pathlib
import re

import pytest

from lab import content
from lab.engines import IMAGE, TELLER_COMMAND, WITH_PYTHON, told, told_over_udp
from lab.guest import wait_for
from lab.network import HOST4, HOST4_SECOND, HOST6, HOST6_SECOND, WAN4, WAN4_SECOND, WAN6

HTTPD = ["httpd", "-f", "-p", "80", "-h", "/www"]


@pytest.fixture(autouse=True)
def clean(engines, nothing_left):
    """No container survives a test; and then nothing of its network may either: process, namespace, socket file."""
    before = engines.api_sockets()
    yield
    engines.podman("rm", "--all", "--force", "--time", "0")
    engines.podman("pod", "rm", "--all", "--force", "--time", "0")
    wait_for(lambda: not engines.forwarders(), 5, "the end of the containers' slirp4netns")
    # What Buildah killed before may be gone by now: `ls` takes such sockets away.
    assert set(engines.api_sockets()) <= set(before)


def network(options):
    return f"--network=slirp4netns{':' if options else ''}{options}"


def once(engines, script, options="", *more):
    """A shell script in a container that is removed at its end: its output."""
    return engines.podman("run", "--rm", network(options), *more, IMAGE, "sh", "-c", script)


def once_in_python(engines, code, options=""):
    return engines.podman("run", "--rm", network(options), *WITH_PYTHON, IMAGE, "/usr/bin/python3", "-c", code)


def serve(engines, options, *more, name="server", command=tuple(HTTPD)):
    engines.podman("run", "--detach", "--name", name, network(options), *more, IMAGE, *command)


def get(lab, url, namespace=None):
    done = lab.user_run(["curl", "-sS", "--max-time", "5", url], namespace=namespace)
    return done.stdout.strip().strip("[]").removeprefix("::ffff:") if done.returncode == 0 else None


def peer(lab, address, port, namespace=None):
    """Who the container says that we are, once its server listens."""
    url = f"http://{f'[{address}]' if ':' in address else address}:{port}/cgi-bin/peer"
    return wait_for(lambda: get(lab, url, namespace), 10, f"an answer of {url}")


# --- out of the container ---------------------------------------------------------------------------------------------


def test_out_over_tcp_by_address_and_by_name(engines):
    out = once(engines, f"wget -qO- http://{WAN4}/peer; wget -qO- http://v4.lab.test/peer; cat /etc/resolv.conf; ip -o addr")
    assert [line.split()[0] for line in out.splitlines()[:2]] == [HOST4, HOST4]
    assert "nameserver 10.0.2.3\n" in out
    assert "inet 10.0.2.100/24" in out


def test_out_over_udp(engines):
    code = f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
for size in (1, 1400, 20000):
    s.sendto(bytes(size), ({WAN4!r}, 7))
    data, peer = s.recvfrom(65536)
    print(len(data), *peer)
s.sendto(b'who', ({WAN4!r}, 5005))
print(s.recv(100).decode().split()[0])
"""
    out = once_in_python(engines, code).split("\n")
    assert out[:4] == [f"1 {WAN4} 7", f"1400 {WAN4} 7", f"20000 {WAN4} 7", HOST4]


def test_names_through_the_forwarder(engines, lab):
    """Asked at 10.0.2.3, over UDP: what is asked arrives at the server that the host uses."""
    before = len(lab.dns_log())
    assert "203.0.113.2" in once(engines, "nslookup far.lab.test 10.0.2.3")
    asked = lab.dns_log()[before:]
    assert asked and all(line.startswith("wan udp far.lab.test") for line in asked), asked


def test_much_both_ways(engines, lab):
    size, path = 256 << 20, lab.tmp / "much"
    digest = content.write(path, size)
    path.chmod(0o644)
    assert once(engines, f"wget -qO- http://{WAN4}/file/much | sha256sum").split()[0] == digest
    path.unlink()
    code = f"""
import hashlib, socket
s = socket.create_connection(({WAN4!r}, 5003), 10)
block, total, digest = bytes(range(256)) * 4096, {size}, hashlib.sha256()
for _ in range(total // len(block)):
    s.sendall(block)
    digest.update(block)
s.shutdown(socket.SHUT_WR)
print(s.makefile().readline().split() == [digest.hexdigest(), str(total)])
"""
    assert once_in_python(engines, code) == "True\n"


def test_a_refused_connection_fails_at_once(engines):
    done = engines.try_run("podman", "run", "--rm", network(""), IMAGE, "wget", "-qO-", f"http://{WAN4}:1/", timeout=20)
    assert done.returncode == 1
    assert "Connection refused" in done.stderr


# --- the options of --network=slirp4netns ---------------------------------------------------------------------------------


def test_the_hosts_loopback_is_closed(engines):
    done = engines.try_run("podman", "run", "--rm", network(""), IMAGE, "nc", "-w", "5", "10.0.2.2", "8099")
    assert done.returncode == 1
    assert "127.0.0.1" not in done.stdout
    assert "Network is unreachable" in done.stderr


def test_allow_host_loopback(engines):
    assert once(engines, "nc -w 5 10.0.2.2 8099", "allow_host_loopback=true").split()[0] == "127.0.0.1"


def test_cidr(engines):
    out = once(engines, "ip -o addr; ip route; cat /etc/resolv.conf; wget -qO- http://v4.lab.test/peer", "cidr=10.99.7.0/24")
    assert "inet 10.99.7.100/24" in out
    assert "default via 10.99.7.2" in out
    assert "nameserver 10.99.7.3\n" in out
    assert out.splitlines()[-1].split()[0] == HOST4


# The router's advertisement comes after the start: until then there is no route.
WITH_IPV6 = "for i in $(seq 100); do ip -6 route | grep -q ^default && break; sleep 0.1; done; "


def test_enable_ipv6(engines):
    out = once(engines, f"{WITH_IPV6} ip -6 -o addr show tap0; wget -qO- 'http://[{WAN6}]/peer'; nslookup wan.lab.test fd00::3",
               "enable_ipv6=true")
    assert "inet6 fd00:" in out
    assert f"\n{HOST6} " in out
    assert "Address: 198.51.100.2" in out, out


def test_disable_ipv6(engines):
    out = once(engines, f"wget -qO- http://{WAN4}/peer; sleep 1; ip -6 -o addr; ip -6 route", "enable_ipv6=false")
    assert out.startswith(HOST4)
    assert "fd00:" not in out and "default" not in out


@pytest.fixture
def other_interface(lab):
    """An interface of the host that no route leads to, and its addresses; wan reaches these through the usual one."""
    lab.host.ip("link", "add", "other", "type", "veth", "peer", "name", "unused")
    lab.host.ip("link", "set", "unused", "up")
    lab.host.ip("link", "set", "other", "up")
    lab.host.ip("addr", "add", "198.51.100.20/32", "dev", "other")
    lab.host.ip("addr", "add", "2001:db8:1::20/128", "dev", "other", "nodad")
    lab.wan.ip("-6", "route", "add", "2001:db8:1::20/128", "via", HOST6)
    yield "other", "198.51.100.20", "2001:db8:1::20"
    lab.wan.ip("-6", "route", "del", "2001:db8:1::20/128")
    lab.host.ip("link", "del", "other")


@pytest.mark.parametrize("by", ["address", "interface"])
def test_outbound_addr(engines, other_interface, by):
    name, address = other_interface[:2] if by == "interface" else (HOST4_SECOND, HOST4_SECOND)
    code = f"""
import socket
s = socket.create_connection(({WAN4_SECOND!r}, 5005), 10)
print(s.recv(100).decode().split()[0])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
s.sendto(b'who', ({WAN4_SECOND!r}, 5005))
print(s.recv(100).decode().split()[0])
"""
    assert once_in_python(engines, code, f"outbound_addr={name}").split() == [address, address]


@pytest.mark.parametrize("by", ["address", "interface"])
def test_outbound_addr6(engines, other_interface, by):
    name, address = other_interface[::2] if by == "interface" else (HOST6_SECOND, HOST6_SECOND)
    out = once(engines, f"{WITH_IPV6} wget -qO- 'http://[{WAN6}]/peer'", f"enable_ipv6=true,outbound_addr6={name}")
    assert out.split()[0] == address


def test_mtu(engines):
    assert " mtu 65520 " in once(engines, "ip link show tap0")
    out = once(engines, f"ip link show tap0; wget -qO- http://{WAN4}/peer", "mtu=1400")
    assert " mtu 1400 " in out
    assert out.splitlines()[-1].split()[0] == HOST4


# --- into the container -----------------------------------------------------------------------------------------------


def test_published_by_slirp4netns_with_the_clients_address(engines, lab):
    serve(engines, "port_handler=slirp4netns", "--publish", "8080:80")
    assert peer(lab, HOST4, 8080, lab.wan) == "198.51.100.2"
    assert peer(lab, "127.0.0.1", 8080) == "10.0.2.2"


def test_readme_example(engines, lab):
    words = engines.readme("podman run").replace("podman run", "podman run --detach").replace("IMAGE", IMAGE).split()
    engines.run(*words, *HTTPD)
    assert peer(lab, HOST4, 8080, lab.wan) == "198.51.100.2"


def test_published_on_one_address_only(engines, lab):
    serve(engines, "port_handler=slirp4netns", "--publish", "127.0.0.1:8080:80")
    assert peer(lab, "127.0.0.1", 8080) == "10.0.2.2"
    assert get(lab, f"http://{HOST4}:8080/", lab.wan) is None


def test_udp_published_by_slirp4netns_with_the_clients_address(engines, lab):
    serve(engines, "port_handler=slirp4netns", *WITH_PYTHON, "--publish", "5300:53/udp", command=TELLER_COMMAND)
    assert told_over_udp(lab, HOST4, 5300, lab.wan) == ("198.51.100.2", True)
    assert told_over_udp(lab, "127.0.0.1", 5300)[0] == "10.0.2.2"


def test_published_by_rootlessport(engines, lab):
    """Podman's default: its own program forwards, and every client has the container's address."""
    serve(engines, "", *WITH_PYTHON, "--publish", "8080:80", "--publish", "5300:53/udp", command=TELLER_COMMAND)
    assert told(lab, HOST4, 8080, lab.wan)[0] == "10.0.2.100"
    assert told(lab, HOST6, 8080, lab.wan)[0] == "10.0.2.100"
    assert told_over_udp(lab, HOST4, 5300, lab.wan)[0] == "10.0.2.100"


def test_a_taken_port_is_told(engines, lab):
    holder = lab.user_popen(["nc", "-lk", "-p", "8080"])
    try:
        wait_for(lambda: ":8080" in lab.user_run(["ss", "-tln"]).stdout, 5, "the holder of the port")
        words = ["podman", "run", "--rm", network("port_handler=slirp4netns"), "--publish", "8080:80", IMAGE, "true"]
        done = engines.try_run(*words)
    finally:
        lab.stop(holder)
    assert done.returncode == 126
    assert "slirp_add_hostfwd failed" in done.stderr


# --- a container's life -------------------------------------------------------------------------------------------------


def test_the_program_under_test_is_the_one_that_runs(engines):
    """As Podman calls it: the whole command line is part of the contract."""
    serve(engines, "port_handler=slirp4netns", "--publish", "8080:80")
    ((pid, words),) = engines.forwarders().items()
    assert os.path.realpath(f"/proc/{pid}/exe") == os.path.realpath(engines.slirp4netns)
    line = " ".join(words[1:])
    assert re.fullmatch(r"--disable-host-loopback --mtu=65520 --enable-sandbox --enable-seccomp --enable-ipv6 -c -e 3 -r 4 "
                        r"--api-socket \S+\.net --netns-type=path \S+ tap0", line), line
    assert [path for path in map(pathlib.Path, words) if path in engines.api_sockets()], "the socket is where Podman wants it"


def test_containers_are_listed(engines, lab):
    """The process that serves a container, confined as it is, answers `ls` and changes its ports."""
    serve(engines, "port_handler=slirp4netns", "--publish", "8080:80")
    ((pid, _),) = engines.forwarders().items()
    (listed,) = json.loads(engines.run(lab.binary, "ls", "--json"))["instances"]
    assert listed["pid"] == pid
    engines.run(lab.binary, "port", "add", str(pid), "8081:80")
    assert peer(lab, HOST4, 8081, lab.wan) == "198.51.100.2"


def test_stop_start_and_restart(engines, lab):
    before = engines.api_sockets()
    serve(engines, "port_handler=slirp4netns", "--publish", "8080:80")
    assert peer(lab, HOST4, 8080, lab.wan) == "198.51.100.2"
    (first,) = engines.forwarders()
    engines.podman("restart", "--time", "0", "server")
    assert peer(lab, HOST4, 8080, lab.wan) == "198.51.100.2"
    engines.podman("stop", "--time", "0", "server")
    wait_for(lambda: not engines.forwarders(), 5, "the end of slirp4netns")
    assert engines.api_sockets() == before, "nothing is left of a stopped container's network"
    assert get(lab, f"http://{HOST4}:8080/", lab.wan) is None
    engines.podman("start", "server")
    assert peer(lab, HOST4, 8080, lab.wan) == "198.51.100.2"
    assert first not in engines.forwarders()
    assert engines.podman("exec", "server", "wget", "-qO-", f"http://{WAN4}/peer").split()[0] == HOST4


def test_a_killed_container_takes_its_network_along(engines):
    serve(engines, "port_handler=slirp4netns", "--publish", "8080:80")
    assert engines.forwarders()
    engines.podman("kill", "server")
    wait_for(lambda: not engines.forwarders(), 5, "the end of slirp4netns")


def test_exec(engines):
    serve(engines, "")
    assert engines.podman("exec", "server", "wget", "-qO-", "http://v4.lab.test/peer").split()[0] == HOST4


def test_two_containers_do_not_meet(engines, lab):
    serve(engines, "port_handler=slirp4netns", "--publish", "8081:80", name="one")
    serve(engines, "port_handler=slirp4netns", "--publish", "8082:80", name="two")
    assert len(engines.forwarders()) == 2
    assert [peer(lab, HOST4, port, lab.wan) for port in (8081, 8082)] == ["198.51.100.2"] * 2
    assert engines.try_run("podman", "exec", "one", "nc", "-w", "2", "10.0.2.100", "81").returncode != 0
    engines.podman("rm", "--force", "--time", "0", "one")
    assert peer(lab, HOST4, 8082, lab.wan) == "198.51.100.2"
    assert get(lab, f"http://{HOST4}:8081/", lab.wan) is None


@pytest.mark.parametrize("handler, seen", [("slirp4netns", "198.51.100.2"), ("rootlesskit", "10.0.2.100")])
def test_pod(engines, lab, handler, seen):
    """Two containers with one network: they meet on its loopback, and the pod's port leads to the one that listens."""
    engines.podman("pod", "create", "--name", "pod", network(f"port_handler={handler}"), "--publish", "8080:80")
    engines.podman("run", "--detach", "--pod", "pod", "--name", "server", IMAGE, *HTTPD)
    assert peer(lab, HOST4, 8080, lab.wan) == seen
    assert len(engines.forwarders()) == 1
    script = "wget -qO- http://127.0.0.1/; wget -qO- http://v4.lab.test/peer"
    out = engines.podman("run", "--rm", "--pod", "pod", IMAGE, "sh", "-c", script).splitlines()
    assert out[0] == "hello from the container"
    assert out[1].split()[0] == HOST4
    engines.podman("pod", "stop", "--time", "0", "pod")
    wait_for(lambda: not engines.forwarders(), 5, "the end of slirp4netns")
    engines.podman("pod", "start", "pod")
    assert peer(lab, HOST4, 8080, lab.wan) == seen


def test_bridge_network(engines, lab):
    """Podman's own networks share one slirp4netns per user, which SIGTERM ends together with the last container."""
    engines.podman("network", "create", "net")
    try:
        for name, port in (("one", "8081"), ("two", "8082")):
            engines.podman("run", "--detach", "--name", name, "--network=net", "--publish", f"{port}:80", IMAGE, *HTTPD)
        ((_, words),) = engines.forwarders().items()
        assert re.fullmatch(r"--disable-host-loopback --mtu=65520 --enable-sandbox --enable-seccomp --enable-ipv6 -c -r 3 "
                            r"--netns-type=path \S+ tap0", " ".join(words[1:])), words
        assert engines.podman("exec", "one", "wget", "-qO-", f"http://{WAN4}/peer").split()[0] == HOST4
        assert "203.0.113.2" in engines.podman("exec", "two", "nslookup", "far.lab.test")
        assert get(lab, f"http://{HOST4}:8081/", lab.wan) == get(lab, f"http://{HOST4}:8082/", lab.wan) == "hello from the container"
        address = engines.podman("inspect", "--format", "{{.NetworkSettings.Networks.net.IPAddress}}", "one").strip()
        assert engines.podman("exec", "two", "wget", "-qO-", f"http://{address}/") == "hello from the container\n"
        engines.podman("rm", "--force", "--time", "0", "one")
        assert engines.podman("exec", "two", "wget", "-qO-", f"http://{WAN4}/peer").split()[0] == HOST4
    finally:
        engines.podman("rm", "--all", "--force", "--time", "0")
        engines.podman("network", "rm", "net")
