"""Published ports under real programs: nginx and wrk, iperf3, and ports that come and go while they run."""

import json
import re
import socket
import subprocess

import pytest

from lab.guest import wait_for
from lab.network import HOST4, HOST6

BOTH = pytest.mark.parametrize("address", [HOST4, HOST6], ids=["v4", "v6"])
PAGE = "x" * 3000 + "\n"
NGINX = """
daemon off;
user root;
master_process off;
pid {folder}/pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
  access_log {folder}/access;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 80 backlog=4096;
    listen [::]:80 backlog=4096 ipv6only=on;
    root {folder};
    location = /who {{ return 200 "$remote_addr $remote_port"; }}
  }}
}}
"""


@pytest.fixture
def nginx(lab, make_guest):
    """nginx(*options) -> (guest, access log) of a guest in which nginx serves on port 80."""
    servers = []

    def make(*options):
        guest = make_guest(*options)
        folder = lab.path("nginx")
        folder.mkdir()
        folder.chmod(0o777)
        (folder / "conf").write_text(NGINX.format(folder=folder))
        (folder / "page").write_text(PAGE)
        servers.append(guest.popen(["/usr/sbin/nginx", "-p", folder, "-e", "stderr", "-c", folder / "conf"]))
        wait_for(lambda: ":80 " in guest.out("ss -tln"), 10, "nginx")
        return guest, folder / "access"

    yield make
    for server in servers:
        lab.stop(server)


def url(address, port, path):
    return f"http://{f'[{address}]' if ':' in address else address}:{port}/{path}"


def wrk_words(address, *headers, seconds=2, connections=50):
    return ["wrk", "-t", "2", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "5s",
            *(word for header in headers for word in ("-H", header)), url(address, 8080, "page")]


def all_answered(out):
    """wrk's report without a fault: how many requests were answered."""
    assert "Socket errors" not in out and "Non-2xx" not in out, out
    return int(re.search(r"(\d+) requests in", out)[1])


@BOTH
@pytest.mark.parametrize("headers", [[], ["Connection: close"]], ids=["keep-alive", "close"])
def test_nginx_under_wrk(lab, nginx, address, headers):
    """Every request has its answer, and nginx sees wrk's address each time."""
    _, access = nginx("-p", "8080:80")
    done = lab.user_run(wrk_words(address, *headers), namespace=lab.wan)
    answered = all_answered(done.stdout)
    assert answered > 100, done.stdout
    # nginx writes the line after the answer.
    wait_for(lambda: access.read_text().count("\n") >= answered, what="the last answer's line")
    lines = access.read_text().splitlines()
    # Those that were under way when wrk's time was up are in the log alone.
    assert len(lines) <= answered + 50
    client = {HOST4: "198.51.100.2", HOST6: "2001:db8:1::2"}[address]
    assert all(line.split()[0] == client and '" 200 3001 ' in line for line in lines)


@BOTH
def test_nginx_page_is_whole(lab, nginx, address):
    nginx("-p", "8080:80")
    assert lab.user_run(["curl", "-sS", url(address, 8080, "page")], namespace=lab.wan).stdout == PAGE
    words = ["curl", "-sS", "--write-out", "\n%{local_ip} %{local_port}", url(address, 8080, "who")]
    seen, own = lab.user_run(words, namespace=lab.wan).stdout.splitlines()
    assert seen == own


@BOTH
def test_a_thousand_connections_under_wrk(lab, nginx, address):
    nginx("-p", "8080:80")
    done = lab.user_run(wrk_words(address, connections=1000), namespace=lab.wan)
    assert all_answered(done.stdout) > 1000


@pytest.fixture
def few_ports(lab):
    """The clients have few ports, and so use each again at once."""
    key = "net/ipv4/ip_local_port_range"
    lab.wan.sysctl(key, "20000 20999")
    yield
    lab.wan.sysctl(key, "1024 65535")


@BOTH
def test_clients_that_use_their_ports_again(lab, nginx, few_ports, address):
    nginx("-p", "8080:80")
    done = lab.user_run(wrk_words(address, "Connection: close"), namespace=lab.wan)
    assert all_answered(done.stdout) > 2000


@BOTH
def test_iperf3_both_ways(lab, make_guest, address):
    """TCP in both directions, at once and one after the other, and UDP; iperf3 counts what arrived."""
    guest = make_guest("-p", "5301:5201", "-p", "udp/5301:5201")

    def end_of_test(*options):
        server = guest.popen(["iperf3", "--server", "--one-off"], stdout=subprocess.DEVNULL)
        wait_for(lambda: ":5201 " in guest.out("ss -tln"), 10, "iperf3")
        words = ["iperf3", "--json", "--time", "1", "--client", address, "--port", "5301", *options]
        report = json.loads(lab.user_run(words, namespace=lab.wan).stdout)
        assert "error" not in report, f"{options}: {report['error']}"
        assert server.wait(10) == 0
        return report["end"]

    for options in ([], ["--reverse"], ["--parallel", "4"], ["--bidir"]):
        end = end_of_test(*options)
        assert end["sum_received"]["bytes"] > 1 << 20, options
        assert end.get("sum_received_bidir_reverse", end["sum_received"])["bytes"] > 1 << 20
    for options in ([], ["--reverse"]):
        end = end_of_test("--udp", "--bitrate", "10M", "--length", "1200", *options)
        assert end["sum_sent"]["packets"] > 500
        # On a busy machine, a reader that does not get its turn loses some.
        assert end["sum_received"]["packets"] > 0.8 * end["sum_sent"]["packets"]


def ask(path, request):
    """One request to the control socket, in slirp4netns's form."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(json.dumps(request).encode())
        client.shutdown(socket.SHUT_WR)
        return json.load(client.makefile())


@pytest.mark.parametrize("headers", [[], ["Connection: close"]], ids=["keep-alive", "close"])
def test_ports_come_and_go_under_load(lab, nginx, headers):
    """Another port is added, used and removed again and again: no request on the first one notices."""
    api = lab.path("api.sock")
    nginx("-p", "8080:80", "--api-socket", api)
    load = lab.user_popen(wrk_words(HOST4, *headers, seconds=4), namespace=lab.wan, stdout=subprocess.PIPE)
    rounds = 0
    while load.poll() is None:
        port = 9000 + rounds % 10
        added = ask(api, {"execute": "add_hostfwd", "arguments": {
            "proto": "tcp", "host_addr": "", "host_port": port, "guest_addr": "", "guest_port": 80}})
        got = lab.user_run(["curl", "-sS", "--max-time", "10", url(HOST4, port, "who")], namespace=lab.wan)
        assert got.stdout.startswith("198.51.100.2 "), got.stderr
        assert ask(api, {"execute": "remove_hostfwd", "arguments": added["return"]}) == {"return": {}}
        gone = lab.user_run(["curl", "-sS", "--max-time", "10", url(HOST4, port, "who")], namespace=lab.wan)
        assert gone.returncode == 7, "refused"
        rounds += 1
    assert all_answered(load.stdout.read()) > 100
    assert rounds >= 3
