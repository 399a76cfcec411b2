"""Called as slirp4netns: its command line, its addresses, its exit statuses. Taps and bess have files of their own."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess

import pytest

from lab.container import Container, start_ready, stop_ready
from lab.guest import children, said, wait_for
from lab.network import HOST4, HOST4_SECOND, HOST6, HOST6_SECOND, WAN4, WAN6

MAC4, MAC6 = "52:55:0a:00:02:02", "52:56:00:00:00:02"


@pytest.fixture
def container(lab):
    it = Container(lab)
    yield it
    it.kill()


@pytest.fixture
def start(lab):
    """start(*words) -> the process, once it is ready."""
    started = []

    def do(*words, fds=()):
        started.append(start_ready(lab, [lab.slirp4netns, "-r", "{ready}", *(str(word) for word in words)], fds))
        return started[-1]

    yield do
    for process in started:
        stop_ready(lab, process)


def hello(container, address=WAN4):
    host = f"[{address}]" if ":" in address else address
    return container.run(f"curl -sS --max-time 5 http://{host}/", check=False).stdout == "hello from the lab\n"


# --- the command line ---------------------------------------------------------------------------------------------


def test_help_has_the_words_that_callers_look_for(lab):
    done = lab.user_run([lab.slirp4netns, "--help"])
    assert done.returncode == 0 and done.stderr == ""
    for word in ("--netns-type", "--disable-host-loopback", "--mtu", "--enable-sandbox", "--enable-seccomp", "--cidr",
                 "--outbound-addr", "--enable-ipv6", "--api-socket"):
        grep = subprocess.run(["grep", "-qw", "--", word], input=done.stdout, text=True, check=False)
        assert grep.returncode == 0, word


def test_every_option_of_the_real_one_is_there(lab):
    """Debian's own --help names no option that ours does not know."""
    real = subprocess.run(["/usr/bin/slirp4netns", "--help"], capture_output=True, text=True, check=True).stdout
    ours = lab.user_run([lab.slirp4netns, "--help"]).stdout
    names = set(re.findall(r"--[a-z0-9-]+", real))
    assert len(names) > 15 and names <= set(re.findall(r"--[a-z0-9-]+", ours))


def test_version_has_the_line_that_callers_look_for(lab):
    done = lab.user_run([lab.slirp4netns, "-v"])
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith("slirp4netns version ")
    assert re.search(r"^SLIRP_CONFIG_VERSION_MAX: 4$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("words", [[], ["--bogus", "1"], ["-m", "0", "1"], ["0"], ["--target-type=bess", "-c", "x"]])
def test_parse_error(lab, words):
    """The usage on standard output, the reason on standard error, status 1: as of the real one."""
    done = lab.user_run([lab.slirp4netns, *words])
    real = subprocess.run(["/usr/bin/slirp4netns", *words], capture_output=True, text=True, check=False)
    assert done.returncode == real.returncode == 1
    assert done.stdout.startswith("Usage: ") and real.stdout.startswith("Usage: ")
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("slirp4netns: ")


def test_mtu_message(lab):
    assert "MTU must be a positive integer (< 65522)" in lab.user_run([lab.slirp4netns, "-m", "65522", "1"]).stderr


def test_too_many_arguments_are_a_warning(lab, container, start):
    process = start("-c", container.pid, "tap0", "one", "more")
    assert hello(container)
    process.send_signal(signal.SIGTERM)
    process.wait(5)
    assert process.stderr.read().splitlines() == ["slirp4netns: WARNING: too many arguments"]


@pytest.mark.parametrize("words,name", [(["99999999"], "99999999"), (["--netns-type=path", "/no/such"], "/no/such"),
                                        (["--userns-path=/no/such", "{pid}"], "/no/such"),
                                        (["--ready-fd=77", "{pid}"], "77"), (["--netns-type=tapfd", "77"], "77"),
                                        (["--outbound-addr=nowhere0", "{pid}"], "nowhere0"),
                                        (["-a", "/no/such/socket", "{pid}"], "/no/such/socket"),
                                        (["-a", "/tmp/" + "x" * 120, "{pid}"], "x" * 120)])
def test_failures_are_one_line_and_status_1(lab, container, nothing_left, words, name):
    done = lab.user_run([lab.slirp4netns, *(word.replace("{pid}", str(container.pid)) for word in words)])
    assert done.returncode == 1
    assert len(said(done)) == 1 and name in done.stderr and done.stderr.startswith("slirp4netns: ")


def test_silent_without_a_reason_to_speak(lab, container, start):
    """Podman shows whatever is said as an error."""
    process = start("-c", container.pid)
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    assert process.stderr.read() == ""


# --- what -c sets ---------------------------------------------------------------------------------------------------


@pytest.mark.core
def test_configured(container, start):
    start("-c", "--mtu=9000", "--macaddress=52:54:00:12:34:56", container.pid, "tap7")
    links = container.out("ip addr")
    assert re.search(r"tap7: <[A-Z,_]*UP[A-Z,_]*> mtu 9000", links) and "link/ether 52:54:00:12:34:56" in links
    assert "inet 10.0.2.100/24 " in links
    assert re.search(r"lo: <LOOPBACK,UP", links)
    assert "default via 10.0.2.2 dev tap7" in container.out("ip route")
    assert "inet6 fd00:" not in links
    assert hello(container) and not hello(container, WAN6)


@pytest.mark.core
def test_ipv6_by_router_advertisement_only(container, start):
    """Usable as soon as it is ready: no duplicate address detection goes on."""
    start("-c", "--enable-ipv6", container.pid)
    addresses = container.out("ip -6 addr show dev tap0")
    assert re.search(r"inet6 fd00::\S+/64 scope global dynamic", addresses) and "tentative" not in addresses
    assert "fd00::100/" not in addresses
    assert re.search(r"default via fe80::2 dev tap0 proto ra .*expires \d+sec .*hoplimit 64", container.out("ip -6 route"))
    assert MAC6 in container.out("ip -6 neigh")
    assert hello(container, WAN6)


def test_ipv6_that_does_not_come(container, start):
    """Router advertisements are ignored inside: it is said, and IPv4 works."""
    container.run("echo 0 > /proc/sys/net/ipv6/conf/default/accept_ra")
    process = start("-c", "--enable-ipv6", container.pid)
    assert hello(container)
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    assert "accept_ra" in process.stderr.read()


def test_without_configure_all_is_left_to_others(container, start):
    """As of the real one: the TAP is down, with the kernel's MTU."""
    start("--mtu=9000", container.pid)
    link = container.out("ip addr show dev tap0")
    assert re.search(r"tap0: <BROADCAST,MULTICAST> mtu 1500", link) and "inet" not in link
    assert re.search(r"lo: <LOOPBACK> ", container.out("ip link show lo"))
    container.run("ip addr add 10.0.2.100/24 dev tap0; ip link set tap0 up mtu 9000; ip route add default via 10.0.2.2")
    assert hello(container)


def test_cidr(container, start):
    start("-c", "--cidr=10.41.0.0/16", container.pid)
    assert "inet 10.41.0.100/16 " in container.out("ip addr show dev tap0")
    assert "default via 10.41.0.2 dev tap0" in container.out("ip route")
    assert hello(container)
    assert "198.51.100.2" in container.out("dig +short @10.41.0.3 wan.lab.test")


@pytest.mark.core
@pytest.mark.parametrize("mtu", [68, 300, 1500, 65521])
def test_mtu(container, start, mtu):
    start("-c", f"--mtu={mtu}", container.pid)
    assert f"mtu {mtu} " in container.out("ip link show tap0")
    assert hello(container)


# --- addresses and wire behaviour -----------------------------------------------------------------------------------

# Frames as they are, so that nothing of the guest's kernel is in between.
SCAPY = """
from scapy.all import *
conf.verb = 0
me, mac = '10.0.2.100', get_if_hwaddr('tap0')
def ask(frame, timeout=3):
    return srp1(frame, iface='tap0', timeout=timeout)
"""


@pytest.mark.core
def test_arp(container, start):
    """For .2 and .3, with the gateway's MAC; for no other address of the network."""
    start("-c", container.pid)
    assert container.python(SCAPY + """
for last in (2, 3, 1, 4, 15, 200):
    reply = ask(Ether(src=mac, dst='ff:ff:ff:ff:ff:ff') / ARP(hwsrc=mac, psrc=me, pdst=f'10.0.2.{last}'), 0.5)
    print(last, reply[ARP].hwsrc if reply else None, reply.src if reply else None)
""").splitlines() == [f"2 {MAC4} {MAC4}", f"3 {MAC4} {MAC4}", *(f"{last} None None" for last in (1, 4, 15, 200))]


@pytest.mark.core
def test_arp_of_another_network(container, start):
    start("-c", "--cidr=10.41.0.0/16", container.pid)
    container.run("ping -c 1 -W 2 10.41.0.2; ping -c 1 -W 2 10.41.0.3")
    assert container.out("ip neigh").count("52:55:0a:29:00:02") == 2


@pytest.mark.core
@pytest.mark.parametrize("words", [[], ["--disable-host-loopback"]], ids=["loopback", "no-loopback"])
def test_pings_are_answered(container, start, words):
    start("-c", "-6", *words, container.pid)
    for address in ("10.0.2.2", "10.0.2.3", "fd00::2", "fd00::3"):
        assert "1 received" in container.out(f"ping -c 1 -W 2 {address}")


@pytest.mark.core
def test_router_advertisement(container, start):
    start("-c", "-6", container.pid)
    assert container.python(SCAPY + """
import socket
link = [a for a, _, name in [(x[0], x[1], x[2]) for x in in6_getifaddr()] if name == 'tap0' and a.startswith('fe80')][0]
reply = ask(Ether(src=mac, dst='33:33:00:00:00:02') / IPv6(src=link, dst='ff02::2', hlim=255) / ICMPv6ND_RS())
ra, prefix = reply[ICMPv6ND_RA], reply[ICMPv6NDOptPrefixInfo]
print(reply.src, reply[IPv6].src, ra.routerlifetime, ra.chlim, prefix.L, prefix.A, prefix.prefix, prefix.prefixlen,
      prefix.validlifetime, prefix.preferredlifetime)
print(reply[ICMPv6NDOptSrcLLAddr].lladdr)
""").splitlines() == [f"{MAC6} fe80::2 1800 64 1 1 fd00:: 64 86400 14400", MAC6]


@pytest.mark.core
def test_dhcp(container, start):
    start("-c", container.pid)
    assert container.python(SCAPY + """
own = bytes.fromhex(mac.replace(':', ''))
def dhcp(kind, *options):
    return (Ether(src=mac, dst='ff:ff:ff:ff:ff:ff') / IP(src='0.0.0.0', dst='255.255.255.255') / UDP(sport=68, dport=67) /
            BOOTP(chaddr=own, xid=7, flags=0x8000) / DHCP(options=[('message-type', kind), *options, 'end']))
conf.checkIPaddr = False
offer = ask(dhcp('discover'))
print(offer[BOOTP].yiaddr, offer[IP].src)
ack = ask(dhcp('request', ('requested_addr', offer[BOOTP].yiaddr), ('server_id', '10.0.2.2')))
options = dict(o for o in ack[DHCP].options if isinstance(o, tuple) and len(o) == 2)
print(ack[BOOTP].yiaddr, options['message-type'], options['lease_time'], options['server_id'], options['router'],
      options['name_server'])
""").splitlines() == ["10.0.2.15 10.0.2.2", "10.0.2.15 5 86400 10.0.2.2 10.0.2.2 10.0.2.3"]


@pytest.mark.core
def test_host_loopback_is_open_by_default(container, start):
    start("-c", container.pid)
    assert container.out("nc -w 5 10.0.2.2 8099").split()[0] == "127.0.0.1"


@pytest.mark.parametrize("option", ["--disable-host-loopback", "--no-host-loopback"])
def test_disable_host_loopback(container, start, option):
    """A SYN gets ICMP net unreachable, in words and on the wire."""
    start("-c", option, container.pid)
    assert "Network is unreachable" in container.out("nc -v -w 5 10.0.2.2 8099 2>&1 || true")
    assert container.python(SCAPY + f"""
reply = ask(Ether(src=mac, dst='{MAC4}') / IP(src=me, dst='10.0.2.2') / TCP(sport=40000, dport=8099, flags='S'))
print(reply.sprintf('%IP.src% %ICMP.type% %ICMP.code%'))
""").strip() == "10.0.2.2 dest-unreach network-unreachable"


def test_closed_port_is_reset(container, start):
    start("-c", container.pid)
    assert "refused" in container.out(f"nc -v -w 5 {WAN4} 9999 2>&1 || true")
    assert "refused" in container.out("nc -v -w 5 10.0.2.2 9999 2>&1 || true")


@pytest.mark.core
def test_dns(container, start):
    start("-c", "-6", container.pid)
    for server in ("10.0.2.3", "fd00::3"):
        assert "198.51.100.2" in container.out(f"dig +short @{server} wan.lab.test")


@pytest.mark.core
def test_disable_dns(lab, container, start):
    """The address drops silently, over UDP and TCP, and nothing gets out to the host's network."""
    start("-c", "-6", "--disable-dns", container.pid)
    before = lab.dns_log()
    for server in ("10.0.2.3", "fd00::3"):
        out = container.out(f"dig +tries=1 +timeout=1 @{server} wan.lab.test || true")
        assert "timed out" in out or "no servers could be reached" in out
        out = container.out(f"nc -v -w 1 {server} 53 2>&1 || true")
        assert "timed out" in out and "refused" not in out and "unreachable" not in out
    assert lab.dns_log() == before
    assert hello(container)


def peer(container, family, kind, address):
    """The address from which the server sees us."""
    return container.python(f"""
import socket
s = socket.socket(socket.{family}, socket.{kind})
s.settimeout(3)
s.connect(({address!r}, 5005))
s.send(b'?')
print(s.recv(100).decode().split()[0])
""").strip()


@pytest.mark.parametrize("four,six,expected", [
    (HOST4_SECOND, HOST6_SECOND, (HOST4_SECOND, HOST6_SECOND)),
    ("h-wan", "h-wan", (HOST4, HOST6)),
    ("h-slow", "h-slow", ("192.0.2.1", "2001:db8:3::1")),
], ids=["address", "interface", "other-interface"])
def test_outbound_addr(lab, container, start, four, six, expected):
    """UDP and the option for IPv6 too, which the real one gets wrong."""
    routes = [(lab.wan, "192.0.2.0/26", HOST4), (lab.wan, "2001:db8:3::/64", HOST6)]
    for namespace, network, gateway in routes:
        namespace.ip("route", "replace", network, "via", gateway)
    try:
        start("-c", "-6", f"--outbound-addr={four}", f"--outbound-addr6={six}", container.pid)
        for kind in ("SOCK_STREAM", "SOCK_DGRAM"):
            assert peer(container, "AF_INET", kind, WAN4) == expected[0]
            assert peer(container, "AF_INET6", kind, WAN6) == expected[1]
    finally:
        for namespace, network, _ in routes:
            namespace.ip("route", "del", network)


# --- targets --------------------------------------------------------------------------------------------------------


def test_by_path(container, start):
    start("-c", "--netns-type=path", f"/proc/{container.pid}/ns/net", "tap0")
    assert hello(container)


def test_by_path_and_user_namespace(container, start):
    base = f"/proc/{container.pid}/ns"
    start("-c", "--netns-type=path", f"--userns-path={base}/user", f"{base}/net", "tap0")
    assert hello(container)


def test_a_path_of_digits_is_no_process(lab, container):
    done = lab.user_run([lab.slirp4netns, "--netns-type=path", str(container.pid)])
    assert done.returncode == 1 and f"./{container.pid}" in done.stderr


def test_from_within_the_user_namespace(lab, container, start):
    """As Podman does it: root of a user namespace whose network namespace is a file's."""
    path = lab.path("netns")
    path.touch()
    path.chmod(0o666)
    ready, write = os.pipe()
    script = (f"mount --bind {path} {path} && mount --make-private {path} && unshare --net={path} true && "
              f"exec {lab.slirp4netns} --disable-host-loopback --mtu=65520 --enable-ipv6 -c -r {write} "
              f"--netns-type=path {path} tap0")
    process = lab.user_popen(["unshare", "-rm", "bash", "-c", script], pass_fds=[write])
    os.close(write)
    assert os.read(ready, 10) == b"1"
    os.close(ready)
    enter = lab.enter_as_root(process.pid, "user", "mount")
    done = subprocess.run([*enter, "nsenter", f"--net={path}", "curl", "-sS", "--max-time", "5", f"http://{WAN4}/"],
                          capture_output=True, text=True, timeout=20, check=False)
    assert done.stdout == "hello from the lab\n", done.stderr
    lab.stop(process)
    assert process.returncode == 0


# --- the end --------------------------------------------------------------------------------------------------------


@pytest.mark.core
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_removes_the_api_socket(lab, container, start, number):
    path = lab.path("api")
    process = start("-c", f"--api-socket={path}", container.pid)
    assert path.is_socket()
    process.send_signal(number)
    assert process.wait(5) == 0
    assert not path.exists()


def test_an_old_api_socket_is_replaced(lab, container, start):
    path = lab.path("api")
    left = f"import socket; socket.socket(socket.AF_UNIX).bind({str(path)!r})"
    lab.user_run(["/usr/bin/python3", "-c", left], check=True)
    assert path.is_socket()
    start("-c", "-a", path, container.pid)
    assert ask(path, {"execute": "list_hostfwd"})["return"] == {"entries": []}


def ask(path, request):
    """As Podman does it: send, end writing, read once."""
    with socket.socket(socket.AF_UNIX) as api:
        api.settimeout(5)
        api.connect(str(path))
        api.sendall(json.dumps(request).encode())
        api.shutdown(socket.SHUT_WR)
        return json.loads(api.recv(2048))


@pytest.mark.core
def test_nobody_stays_inside(lab, container, start):
    """Once the network works there is one process, which the sandbox would confine; so there are no loopback ports."""
    path = lab.path("api")
    process = start("-c", "-a", path, container.pid)
    wait_for(lambda: not children(process.pid), 5, "the end of the child")
    answer = ask(path, {"execute": "publish", "arguments": {"port": "4081:80", "loopback": True}})
    assert "slirp-forwarder attach" in answer["error"]["reason"]
    assert hello(container)


@pytest.mark.core
def test_api_forwards_a_port(lab, container, start):
    """The socket works as soon as the program is ready."""
    path = lab.path("api")
    start("-c", "-a", path, container.pid)
    arguments = {"proto": "tcp", "host_addr": "", "host_port": 4080, "guest_addr": "", "guest_port": 80}
    assert ask(path, {"execute": "add_hostfwd", "arguments": arguments}) == {"return": {"id": 1}}
    server = container.popen(["nc", "-l", "-p", "80", "-N"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    wait_for(lambda: ":80 " in container.out("ss -ltn"), 5, "nc")
    client = subprocess.run(lab.wan.command(["nc", "-N", "-w", "5", HOST4, "4080"]), input="to the guest", text=True,
                            capture_output=True, timeout=10, check=True)
    assert client.stderr == "" and server.communicate(timeout=5)[0] == "to the guest"
    listed = ask(path, {"execute": "list_hostfwd"})
    assert listed["return"]["entries"][0]["guest_addr"] == "10.0.2.100"
    assert ask(path, {"execute": "remove_hostfwd", "arguments": {"id": 1}}) == {"return": {}}


@pytest.mark.core
def test_clients_of_a_port(lab, container, start):
    """A client keeps its address; one on the host's loopback is the gateway."""
    path = lab.path("api")
    start("-c", "-a", path, container.pid)
    arguments = {"proto": "tcp", "host_addr": "0.0.0.0", "host_port": 4081, "guest_addr": "10.0.2.100", "guest_port": 81}
    assert ask(path, {"execute": "add_hostfwd", "arguments": arguments}) == {"return": {"id": 1}}
    server = container.popen(["/usr/bin/python3", "-c", """
import socket
listener = socket.create_server(('', 81))
print('ready', flush=True)
while True:
    connection, address = listener.accept()
    connection.sendall(address[0].encode())
    connection.close()
"""], stdout=subprocess.PIPE)
    assert server.stdout.readline() == "ready\n"
    for namespace, host, seen in ((lab.wan, HOST4, WAN4), (lab.host, "127.0.0.1", "10.0.2.2"),
                                  (lab.host, HOST4, HOST4)):
        client = namespace.run(["nc", "-N", "-w", "5", host, "4081"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
        assert client.stdout == seen
    lab.stop(server)


@pytest.mark.parametrize("kind", ["pipe", "pidfd"])
def test_exit_fd(container, start, kind):
    """The end of a pipe, or of a process."""
    other = subprocess.Popen(["sleep", "1000"])
    read, write = os.pipe()
    fd = read if kind == "pipe" else os.pidfd_open(other.pid)
    process = start("-c", "-e", fd, container.pid, fds=[fd])
    os.close(fd)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    os.close(write)
    other.kill()
    other.wait()
    assert process.wait(5) == 0
    if kind == "pidfd":
        os.close(read)


@pytest.mark.core
def test_ends_with_the_namespace(nothing_left, lab, start):
    container = Container(lab)
    process = start("-c", container.pid)
    container.kill()
    assert process.wait(5) == 0


@pytest.mark.core
def test_killed(nothing_left, container, start):
    process = start("-c", container.pid)
    process.kill()
    process.wait(5)
    wait_for(lambda: container.run("ip link show tap0", check=False).returncode != 0, 5, "the TAP to go")


def test_children_of_who_called_live_on(lab, container):
    """Executed in place of a shell that has children: they are none of ours."""
    mark = lab.path("alive")
    script = f"(sleep 2; echo yes > {mark}) & exec {lab.slirp4netns} -c {container.pid}"
    process = lab.user_popen(["bash", "-c", script])
    wait_for(mark.exists, 10, "the shell's child")
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.2)
    assert process.poll() is None
    lab.stop(process)
