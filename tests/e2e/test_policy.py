"""Egress policy: what is allowed works, and what is not is refused at once. test_policy_bypass.py tries to get around it."""

import json
import os
import signal
import subprocess
import time

import pytest

from lab.guest import wait_for
from lab.named_servers import CDN4, DENIED4, DENIED6, DNS4, HINT4, MANY, SHARED4, SHARED6, SHORT4

RULES = ("--allow", "allowed.policy.test:80,443,8080", "--allow", "www.cdn.test:80", "--allow", "tcp/*.many.test:80",
         "--allow", "short.policy.test", "--allow", "*.policy.lab:53", "--allow", "hints.policy.test", "--allow",
         "ech.policy.test", "--allow", "big.policy.test", "--deny-all")


@pytest.fixture
def policed(servers, make_guest):
    """policed(*options) -> a Guest whose DNS forwarder asks the zone's server."""
    def make(*options):
        return make_guest("--dns", DNS4, *options)

    return make


def fetch(guest, url, *options):
    """(status of curl, what it got, seconds)"""
    start = time.monotonic()
    done = guest.run(["curl", "-sk", "--noproxy", "*", "-m", "10", *options, url], check=False)
    return done.returncode, done.stdout.strip(), time.monotonic() - start


def refused(guest, url, *options):
    status, got, seconds = fetch(guest, url, *options)
    return status in (6, 7, 35, 52, 56) and got == "" and seconds < 5


def dig(guest, *words):
    return guest.run(["dig", "+tries=1", "+time=5", *words], check=False).stdout


@pytest.mark.core
def test_allowed_works(policed, servers):
    guest = policed(*RULES)
    assert fetch(guest, "http://allowed.policy.test/who")[:2] == (0, "allowed.policy.test")
    assert fetch(guest, "https://allowed.policy.test/who", "-6")[:2] == (0, "allowed.policy.test")
    assert fetch(guest, "http://www.cdn.test/who")[:2] == (0, "www.cdn.test"), "through two aliases"
    for number in (1, 77, MANY):
        assert fetch(guest, f"http://host{number}.many.test/who")[:2] == (0, "many.test")


def test_git_works(policed, servers):
    """A client with requests of its own, over the dumb protocol."""
    folder = servers.folder / "www"
    script = f"""cd {folder} && git init -q --bare r.git && git init -q w && cd w && git -c user.name=a -c user.email=a@b \
commit -q --allow-empty -m one && git push -q ../r.git HEAD:main && cd ../r.git && git update-server-info && chmod -R a+rX .."""
    if not (folder / "r.git").exists():
        subprocess.run(["bash", "-c", script], check=True)
    guest = policed(*RULES)
    assert "refs/heads/main" in guest.out("git ls-remote http://allowed.policy.test/r.git")
    done = guest.run("git ls-remote http://denied.policy.test/r.git", check=False)
    assert done.returncode != 0 and "resolve" in done.stderr


def make_repository(folder):
    """A flat repository of one package."""
    tree = folder / "package"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text("Package: lab-hello\nVersion: 1.0\nArchitecture: all\nMaintainer: a <a@b.test>\n"
                                         "Description: says nothing\n")
    repository = folder / "www/apt"
    repository.mkdir()
    subprocess.run(["dpkg-deb", "-b", "--root-owner-group", tree, repository / "lab-hello.deb"], check=True, capture_output=True)
    for words, to in ((["packages", "."], "Packages"), (["release", "."], "Release")):
        text = subprocess.run(["apt-ftparchive", *words], cwd=repository, check=True, capture_output=True).stdout
        (repository / to).write_bytes(text)


def apt(guest, server, folder, *words):
    script = f"""mkdir -p {folder}/state/lists/partial {folder}/cache/archives/partial && cd {folder} &&
echo 'deb [trusted=yes] http://{server}/apt ./' >sources &&
LC_ALL=C apt-get -o Dir::Etc::sourcelist={folder}/sources -o Dir::Etc::sourceparts=/dev/null -o Dir::State={folder}/state \
  -o Dir::State::status=/dev/null -o Dir::Cache={folder}/cache -o APT::Sandbox::User=root -o Acquire::http::Proxy=DIRECT \
  -o Acquire::Retries=0 -o Acquire::Languages=none """
    return guest.run(["bash", "-c", script + " ".join(words)], check=False)


def test_apt_works(policed, servers):
    """From a repository by its name; another one's is refused in apt's own words."""
    if not (servers.folder / "www/apt").exists():
        make_repository(servers.folder)
    guest = policed(*RULES, "--check-sni")
    done = apt(guest, "allowed.policy.test", "/tmp/apt-allowed", "update")
    assert done.returncode == 0 and "Err" not in done.stdout, done.stdout + done.stderr
    done = apt(guest, "allowed.policy.test", "/tmp/apt-allowed", "download", "lab-hello")
    assert done.returncode == 0 and guest.out("ls /tmp/apt-allowed/*.deb").strip().endswith("lab-hello_1.0_all.deb"), done.stderr
    start = time.monotonic()
    done = apt(guest, "denied.policy.test", "/tmp/apt-denied", "update")
    assert "Could not resolve 'denied.policy.test'" in done.stdout + done.stderr
    done = apt(guest, DENIED4, "/tmp/apt-address", "update")
    assert f"Could not connect to {DENIED4}:80" in done.stdout + done.stderr
    assert time.monotonic() - start < 15
    # An address that is open, by a name that is not allowed.
    done = guest.run(f"echo '{SHARED4} other.policy.test' >/tmp/hosts && mount --bind /tmp/hosts /etc/hosts", check=False)
    assert done.returncode == 0, done.stderr
    done = apt(guest, "other.policy.test", "/tmp/apt-other", "update")
    assert f"Connection failed [IP: {SHARED4} 80]" in done.stdout + done.stderr


@pytest.mark.core
def test_refused_by_name(policed, servers):
    guest = policed(*RULES)
    assert "status: NXDOMAIN" in dig(guest, "denied.policy.test")
    assert not servers.asked("denied.policy.test"), "the question has left"
    assert refused(guest, "http://denied.policy.test/who")
    assert "status: NXDOMAIN" in dig(guest, "many.test"), "a wildcard is not its own domain"
    assert guest.messages().count("policy: refused dns denied.policy.test\n") == 1, "said once"
    other = policed(*RULES, "--dns-refusal", "refused")
    assert "status: REFUSED" in dig(other, "denied.policy.test")


@pytest.mark.core
@pytest.mark.parametrize("address", [DENIED4, f"[{DENIED6}]", SHARED4, f"[{SHARED6}]"])
def test_refused_by_address(policed, address):
    """Also those of an allowed name, as long as the guest has not asked for it."""
    guest = policed(*RULES)
    status, _, seconds = fetch(guest, f"http://{address}/who")
    assert status == 7 and seconds < 2, "an RST at once"


@pytest.mark.core
def test_refused_port(policed):
    guest = policed(*RULES)
    assert fetch(guest, "http://www.cdn.test/who")[0] == 0
    assert refused(guest, "http://www.cdn.test:8080/who")


@pytest.mark.core
@pytest.mark.parametrize("family,address,errors", [("AF_INET", DENIED4, ("EHOSTUNREACH",)), ("AF_INET6", DENIED6, ("EACCES",))])
def test_udp_is_told(policed, family, address, errors):
    guest = policed(*RULES)
    out = guest.python(f"""
import errno, socket
s = socket.socket(socket.{family}, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect(('{address}', 7))
s.send(b'x')
try:
    s.recv(10)
except OSError as error:
    print(errno.errorcode.get(error.errno, error))
""")
    assert out.strip() in errors


@pytest.mark.core
def test_udp_to_many_from_one_socket(policed):
    """Each destination counts, not only the first one of a socket."""
    guest = policed("--allow", "udp/203.0.113.2:7", "--deny-all")
    out = guest.python("""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(1)
def ask(address):
    try:
        s.sendto(b'x', (address, 7))
        return s.recv(10)
    except OSError:
        return None
print(ask('203.0.113.2'), ask('198.51.100.2'), ask('203.0.113.2'), ask('198.51.100.2'))
""")
    assert out.strip() == "b'x' None b'x' None"


@pytest.mark.core
def test_ping(policed):
    guest = policed("--allow", "icmp/203.0.113.2", "--deny-all")
    assert guest.run("ping -c1 -W3 203.0.113.2", check=False).returncode == 0
    done = guest.run("ping -c1 -W3 198.51.100.2", check=False)
    assert done.returncode == 1 and "Packet filtered" in done.stdout


@pytest.mark.core
def test_stale_address(policed, servers, lab):
    """TTL 1 and a floor of 1 s: two seconds later the address is closed, what was open goes on, and a new answer helps."""
    path = lab.path("policy")
    path.write_text('default = "deny"\nttl-floor = 1\nrules = ["allow short.policy.test"]\n')
    path.chmod(0o644)
    guest = policed("--policy", path)
    assert refused(guest, f"http://{SHORT4}/who")
    out = guest.python(f"""
import socket, time
def connect():
    try:
        return socket.create_connection(('{SHORT4}', 80), 5)
    except ConnectionRefusedError:
        return None
print(connect() is None)
print(socket.gethostbyname('short.policy.test'))
held = connect()
time.sleep(2.5)
print(connect() is None)
held.sendall(b'GET /who HTTP/1.0\\r\\nHost: short.policy.test\\r\\n\\r\\n')
print(b'short.policy.test' in held.recv(4096))
socket.gethostbyname('short.policy.test')
print(connect() is not None)
""")
    assert out.split() == ["True", SHORT4, "True", "True", "True"]


@pytest.mark.core
def test_https_records(policed):
    """Addresses in hints are open; an answer with keys that hide names comes without any record."""
    guest = policed(*RULES)
    assert refused(guest, f"http://{HINT4}/who")
    assert "CB00714F" in dig(guest, "hints.policy.test", "TYPE65").replace(" ", "") or HINT4 in dig(
        guest, "hints.policy.test", "TYPE65")
    assert fetch(guest, f"http://{HINT4}/who")[:2] == (0, "hints.policy.test")
    out = dig(guest, "ech.policy.test", "TYPE65")
    assert "status: NOERROR" in out and "ANSWER: 0" in out


@pytest.mark.core
def test_dns_over_tcp(policed, servers):
    """Names are looked at there too, and answers open addresses."""
    guest = policed(*RULES)
    assert "ANSWER: 1," in dig(guest, "+tcp", "TXT", "big.policy.test")
    assert "(TCP)" in dig(guest, "+bufsize=512", "TXT", "big.policy.test"), "after a truncated answer"
    assert dig(guest, "+tcp", "+short", "www.cdn.test").split()[-1] == CDN4
    assert fetch(guest, f"http://{CDN4}/who")[:2] == (0, "www.cdn.test")
    assert "status" not in dig(guest, "+tcp", "other.policy.test")
    assert not servers.asked("other.policy.test")


@pytest.mark.core
def test_host_loopback(policed, lab):
    """The gateway is the host's loopback: rules about 127.0.0.1 are about it, those about private networks are not."""
    lab.popen(lab.host.command(["nc", "-lk", "-s", "127.0.0.1", "-p", "4007"]))
    for rule, works in (("loopback:4007", True), ("10.0.2.2:4007", True), ("private", False), ("tcp/127.0.0.1:8", False)):
        guest = policed("--host-loopback", "--allow", rule, "--deny-all")
        assert (guest.run("nc -zw3 10.0.2.2 4007", check=False).returncode == 0) == works, rule


@pytest.mark.core
def test_published_ports_are_not_asked(policed, lab):
    guest = policed("--deny-all", "-p", "7801:80")
    guest.popen("echo hello | nc -lN -s 10.0.2.100 -p 80")
    wait_for(lambda: guest.run("ss -ltn | grep -q :80", check=False).returncode == 0, 5, "nc")
    assert "hello" in lab.user_run(["nc", "-w3", "198.51.100.1", "7801"], namespace=lab.wan).stdout


@pytest.mark.core
def test_check_sni(policed, servers):
    """Two sites on one address: the certificate's owner decides no longer."""
    guest = policed(*RULES, "--check-sni")
    resolve = f"other.policy.test:443:{SHARED4}"
    assert fetch(guest, "https://allowed.policy.test/who")[:2] == (0, "allowed.policy.test")
    assert refused(guest, "https://other.policy.test/who", "--resolve", resolve)
    assert refused(guest, f"https://{SHARED4}/who"), "no server name"
    assert fetch(guest, "http://allowed.policy.test/who")[:2] == (0, "allowed.policy.test")
    assert refused(guest, f"http://{SHARED4}/who", "-H", "Host: other.policy.test")
    assert refused(guest, f"http://{SHARED4}/who")
    assert f"policy: refused tcp {SHARED4}:443 (server name other.policy.test)" in guest.messages()
    unchecked = policed(*RULES)
    assert fetch(unchecked, "https://allowed.policy.test/who")[0] == 0
    assert fetch(unchecked, "https://other.policy.test/who", "--resolve", resolve)[:2] == (0, "other.policy.test")
    by_address = policed("--allow", f"{SHARED4}:443", "--deny-all", "--check-sni")
    assert fetch(by_address, f"https://{SHARED4}/who")[0] == 0, "allowed by address"


@pytest.mark.core
def test_threads_share_it(policed):
    """What one thread has learnt is open for all, whichever a connection comes to."""
    guest = policed(*RULES, "--threads", "2")
    for number in range(1, 21):
        assert fetch(guest, f"http://host{number}.many.test/who")[:2] == (0, "many.test")
        assert refused(guest, f"http://{DENIED4}/who")


@pytest.mark.core
def test_audit(policed):
    guest = policed(*RULES, "--audit", "--check-sni")
    assert fetch(guest, "http://denied.policy.test/who")[:2] == (0, "denied.policy.test")
    assert "policy: would refuse dns denied.policy.test" in guest.messages()
    assert f"policy: would refuse tcp {DENIED4}:80" in guest.messages()


def control(lab, guest, *words, check=True):
    done = lab.user_run([lab.binary, "policy", str(guest.forwarder), *words], env=guest.env)
    if check:
        assert done.returncode == 0, done.stderr
    return done


@pytest.mark.core
def test_changed_at_run_time(servers, make_guest, lab):
    runtime = lab.path("runtime")
    runtime.mkdir()
    runtime.chmod(0o777)
    path = lab.path("policy")
    path.write_text('default = "deny"\nrules = ["allow allowed.policy.test:80"]\n')
    path.chmod(0o644)
    guest = make_guest("--dns", DNS4, "--policy", path, env={"XDG_RUNTIME_DIR": str(runtime)})
    assert control(lab, guest).stdout.splitlines()[:2] == ["allow allowed.policy.test:80", "deny all"]
    assert refused(guest, "http://www.cdn.test/who")
    control(lab, guest, "allow", "www.cdn.test:80")
    assert fetch(guest, "http://www.cdn.test/who")[:2] == (0, "www.cdn.test")
    control(lab, guest, "deny", CDN4)
    assert refused(guest, "http://www.cdn.test/who")
    wrong = control(lab, guest, "allow", "www.cdn.test:http", check=False)
    assert wrong.returncode == 1 and "column 14: expected a port" in wrong.stderr
    # The file, by the command.
    new = lab.path("new")
    new.write_text('default = "deny"\nrules = [\n "allow tcp/*.many.test",\n]\n')
    new.chmod(0o644)
    control(lab, guest, "set", str(new))
    assert fetch(guest, "http://host3.many.test/who")[:2] == (0, "many.test")
    assert refused(guest, "http://allowed.policy.test/who")
    new.write_text('default = "deny"\nrules = [\n "allow tcp/*.many.test:",\n]\n')
    wrong = control(lab, guest, "set", str(new), check=False)
    assert wrong.returncode == 1 and f"{new}:3:25: expected a port" in wrong.stderr
    assert fetch(guest, "http://host4.many.test/who")[0] == 0, "the old one stays"
    # The file of --policy, changed in place, by the signal.
    path.write_text('default = "deny"\nrules = ["allow www.cdn.test"]\n')
    os.kill(guest.forwarder, signal.SIGHUP)
    wait_for(lambda: f"policy: read {path} again" in guest.messages(), 5, "the reload")
    assert fetch(guest, "http://www.cdn.test/who")[:2] == (0, "www.cdn.test")
    assert refused(guest, "http://host5.many.test/who")
    path.write_text('default = "perhaps"\n')
    os.kill(guest.forwarder, signal.SIGHUP)
    wait_for(lambda: f"{path}:1:11: expected \"deny\" or \"allow\" for default; the old one stays" in guest.messages(), 5,
             "the complaint")
    assert fetch(guest, "http://www.cdn.test/who")[0] == 0
    report = json.loads(control(lab, guest, "--json").stdout)
    assert report["rules"] == ["allow www.cdn.test", "deny all"] and report["refusals"] > 0
    assert any(entry["target"] == "dns host5.many.test" for entry in report["refused"])
    # Another file in its place, which a confined process cannot open, is not taken for the old one.
    path.with_suffix(".tmp").write_text('default = "deny"\n')
    path.with_suffix(".tmp").chmod(0o644)
    os.replace(path.with_suffix(".tmp"), path)
    os.kill(guest.forwarder, signal.SIGHUP)
    wait_for(lambda: f"reading {path} again failed: another file is in its place" in guest.messages(), 5, "the complaint")
    assert fetch(guest, "http://www.cdn.test/who")[0] == 0


@pytest.mark.core
def test_sealed(servers, make_guest, lab):
    """Not even by the command that runs inside as the same user, who finds the control socket and the file."""
    runtime = lab.path("runtime")
    runtime.mkdir()
    runtime.chmod(0o777)
    path = lab.path("policy")
    path.write_text('default = "deny"\nrules = ["allow allowed.policy.test:80"]\n')
    path.chmod(0o644)
    guest = make_guest("--dns", DNS4, "--policy", path, "--seal-policy", env={"XDG_RUNTIME_DIR": str(runtime)})
    for words in (["allow", "internet"], ["set", str(path)], ["reset"]):
        done = control(lab, guest, *words, check=False)
        assert done.returncode == 1 and "--seal-policy" in done.stderr
    path.write_text('default = "allow"\n')
    os.kill(guest.forwarder, signal.SIGHUP)
    wait_for(lambda: "--seal-policy; start another instance; the old one stays" in guest.messages(), 5, "the complaint")
    assert refused(guest, "http://www.cdn.test/who")


@pytest.mark.parametrize("options,expected", [
    (["--allow", "a.test:x", "--deny-all"], "--allow 'a.test:x': column 8: expected a port from 1 to 65535, not 'x'"),
    (["--allow", "a.test"], "--allow: refuses nothing by itself"),
    (["--check-sni"], "need a policy"),
    (["--deny", "a.test", "--no-dns"], "names are enforced by the DNS forwarder")])
def test_wrong_options(lab, options, expected):
    done = lab.user_run([lab.binary, "run", *options, "--", "true"])
    assert done.returncode == 2 and expected in done.stderr


@pytest.mark.parametrize("options", [
    ["--allow", "github.com:443", "--allow", "*.debian.org:80,443", "--deny-all", "--seal-policy"],
    ["--deny", "private", "--deny", "metadata"], ["--allow", "github.com", "--deny-all", "--audit"]])
def test_examples_of_the_readme(lab, options):
    done = lab.user_run([lab.binary, "run", *options, "--", "echo", "started"])
    assert (done.returncode, done.stdout) == (0, "started\n"), done.stderr


def test_wrong_file_fails_closed(lab):
    path = lab.path("policy")
    path.write_text('default = "deny"\nrules = ["allow a.test:x"]\n')
    path.chmod(0o644)
    done = lab.user_run([lab.binary, "run", "--policy", path, "--", "echo", "started"])
    assert done.returncode == 1 and done.stdout == ""
    assert f"{path}:2:24: expected a port from 1 to 65535, not 'x'" in done.stderr
    done = lab.user_run([lab.binary, "run", "--policy", "/nowhere/x", "--", "echo", "started"])
    assert done.returncode == 1 and done.stdout == "" and "/nowhere/x" in done.stderr
