"""Servers to be told apart by name: dnsmasq with a zone of many names, aliases and short TTLs, and nginx with several
certificates behind one address. Both run in a namespace behind `wan`.

    allowed.policy.test  203.0.113.74  2001:db8:4::10     other.policy.test    the same two
    www.cdn.test  ->  a.edge.test  ->  b.edge.test        203.0.113.75
    host1.many.test ... host200.many.test                 203.0.113.76
    short.policy.test    203.0.113.77, TTL 1              denied.policy.test   203.0.113.78  2001:db8:4::14
    hints.policy.test    HTTPS: ipv4hint=203.0.113.79     ech.policy.test      HTTPS: with ech
    one.h3.test, two.h3.test  203.0.113.80  2001:db8:4::20: Caddy, with HTTP/3; its address is QUIC4

UDP port 443 of the first address has quic_sink.py, which answers whatever comes.
"""

import pathlib
import subprocess

from .guest import wait_for
from .namespace import Namespace, address, connect

DNS4, DNS6 = "203.0.113.117", "2001:db8:4::53"
OTHER_DNS4 = "203.0.113.118"  # the same zone, at an address that nobody is told
HOSTILE_DNS4 = "203.0.113.119"  # hostile_dns.py
SHARED4, SHARED6 = "203.0.113.74", "2001:db8:4::10"
CDN4, MANY4, SHORT4, DENIED4, HINT4 = (f"203.0.113.{last}" for last in (75, 76, 77, 78, 79))
DENIED6 = "2001:db8:4::14"
QUIC4, QUIC6 = "203.0.113.80", "2001:db8:4::20"
QUIC_NAMES = ("one.h3.test", "two.h3.test")
MANY = 200

# SvcPriority 1, target ".", then ipv4hint; and the same with ech.
HINT_DATA = "0001 00 0004 0004 CB00714F"
ECH_DATA = HINT_DATA + " 0005 0004 01020304"

ZONE = f"""
no-resolv
no-hosts
keep-in-foreground
bind-interfaces
local=/test/
listen-address={DNS4},{DNS6},{OTHER_DNS4}
host-record=allowed.policy.test,{SHARED4},{SHARED6},60
host-record=other.policy.test,{SHARED4},{SHARED6},60
host-record=b.edge.test,{CDN4},30
cname=a.edge.test,b.edge.test,20
cname=www.cdn.test,a.edge.test,300
host-record=short.policy.test,{SHORT4},1
host-record=denied.policy.test,{DENIED4},{DENIED6},60
host-record=one.h3.test,{QUIC4},{QUIC6},60
host-record=two.h3.test,{QUIC4},{QUIC6},60
host-record=dns.google,{DENIED4},60
dns-rr=_dns.resolver.arpa,64,{HINT_DATA.replace(' ', '')}
host-record=rebind.policy.test,10.0.2.2,60
dns-rr=hints.policy.test,65,{HINT_DATA.replace(' ', '')}
dns-rr=ech.policy.test,65,{ECH_DATA.replace(' ', '')}
txt-record=big.policy.test,{','.join('x' * 200 for _ in range(4))}
""" + "".join(f"host-record=host{n}.many.test,{MANY4},60\n" for n in range(1, MANY + 1))


def _certificate(folder, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem", "-days", "30", "-subj",
                    f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"], check=True, capture_output=True)


def _caddy(folder):
    sites = ""
    for name in QUIC_NAMES:
        _certificate(folder, name)
        sites += f"""https://{name} {{
  bind {QUIC4} {QUIC6}
  tls {folder}/{name}.pem {folder}/{name}.key
  respond "{name}"
}}
"""
    return "{\n  admin off\n  auto_https off\n}\n" + sites


def _nginx(folder):
    servers = ""
    for name, addresses in {"allowed.policy.test": (SHARED4, f"[{SHARED6}]"), "other.policy.test": (SHARED4, f"[{SHARED6}]"),
                            "www.cdn.test": (CDN4,), "many.test": (MANY4,), "short.policy.test": (SHORT4,),
                            "denied.policy.test": (DENIED4, f"[{DENIED6}]"), "hints.policy.test": (HINT4,)}.items():
        listen = "".join(f"listen {at}:80; listen {at}:443 ssl; listen {at}:8080;\n" for at in addresses)
        servers += f"""server {{
  {listen} server_name {name}{' *.many.test' if name == 'many.test' else ''};
  ssl_certificate {folder}/{name}.pem; ssl_certificate_key {folder}/{name}.key;
  location / {{ root {folder}/www; try_files $uri =404; }}
  location = /who {{ return 200 "{name}\\n"; }}
}}
"""
        _certificate(folder, name)
    return f"""daemon off; user root; worker_processes 1; pid {folder}/pid; error_log {folder}/error;
events {{ worker_connections 512; }}
http {{ ssl_protocols TLSv1.2 TLSv1.3; access_log {folder}/access; client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2;
fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
{servers}}}
"""


_UNBOUND = f"""server:
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{{folder}}"
  pidfile: ""
  use-syslog: no
  interface: {OTHER_DNS4}@853
  interface: {OTHER_DNS4}@443
  access-control: 0.0.0.0/0 allow
  tls-service-key: "{{folder}}/resolver.test.key"
  tls-service-pem: "{{folder}}/resolver.test.pem"
  tls-port: 853
  https-port: 443
  local-zone: "policy.test." static
  local-data: "denied.policy.test. 60 IN A {DENIED4}"
remote-control:
  control-enable: no
"""


class NamedServers:
    """Started once; `folder` has nginx's access log and its www."""

    def __init__(self, lab):
        self.lab = lab
        self.folder = pathlib.Path(lab.path("named-servers"))
        self.folder.mkdir()
        self.folder.chmod(0o755)
        (self.folder / "www").mkdir()
        self.namespace = Namespace("named")
        connect(lab.wan, "w-named", self.namespace, "n-wan")
        address(lab.wan, "w-named", "203.0.113.65/26", "2001:db8:4::1/64")
        for last in (74, 75, 76, 77, 78, 79, 80, 117, 118, 119):
            address(self.namespace, "n-wan", f"203.0.113.{last}/26")
        for last in ("10", "14", "20", "53"):
            address(self.namespace, "n-wan", f"2001:db8:4::{last}/64")
        self.namespace.ip("route", "add", "default", "via", "203.0.113.65")
        self.namespace.ip("-6", "route", "add", "default", "via", "2001:db8:4::1")
        (self.folder / "zone").write_text(ZONE)
        (self.folder / "nginx").write_text(_nginx(self.folder))
        (self.folder / "caddy").write_text(_caddy(self.folder))
        self.dns_log = self.folder / "dns-log"
        self.quic_log = self.folder / "quic-log"
        self.processes = [
            lab.popen(self.namespace.command(["dnsmasq", "-C", self.folder / "zone", "-u", "root", "-g", "root", "-q",
                                       f"--log-facility={self.dns_log}"])),
            lab.popen(self.namespace.command(["nginx", "-c", self.folder / "nginx", "-e", self.folder / "error"]))]
        with self.quic_log.open("wb") as log:
            sink = pathlib.Path(__file__).with_name("quic_sink.py")
            self.processes.append(lab.popen(self.namespace.command([sink, SHARED4, SHARED6]), stdout=log))
        wait_for(self._answer, 15, "dnsmasq and nginx")

    def start_caddy(self):
        """Once. Its data stays in the folder."""
        caddy = ["env", f"HOME={self.folder}", "caddy", "run", "--adapter", "caddyfile", "--config", self.folder / "caddy"]
        with (self.folder / "caddy-log").open("wb") as log:
            self.processes.append(self.lab.popen(self.namespace.command(caddy), stdout=log, stderr=log))
        wait_for(lambda: subprocess.run(
            self.namespace.command(["curl", "-skm2", "--resolve", f"{QUIC_NAMES[0]}:443:{QUIC4}", f"https://{QUIC_NAMES[0]}/"]),
            capture_output=True, check=False).stdout == QUIC_NAMES[0].encode(), 15, "Caddy")

    def start_hostile(self):
        """A name server for evil.test that gives out what it should not."""
        server = pathlib.Path(__file__).with_name("hostile_dns.py")
        process = self.lab.popen(self.namespace.command([server, HOSTILE_DNS4, CDN4, DENIED4]), stdout=subprocess.PIPE)
        self.processes.append(process)
        assert process.stdout.readline() == "ready\n"

    def start_unbound(self):
        """A resolver over TLS and HTTPS beside dnsmasq, at the address that nobody is told. Once."""
        _certificate(self.folder, "resolver.test")
        (self.folder / "unbound").write_text(_UNBOUND.format(folder=self.folder))
        command = ["unbound", "-dp", "-c", self.folder / "unbound"]
        with (self.folder / "unbound-log").open("wb") as log:
            self.processes.append(self.lab.popen(self.namespace.command(command), stdout=log, stderr=log))
        wait_for(lambda: subprocess.run(self.namespace.command(["kdig", f"@{OTHER_DNS4}", "+tls", "+short", "denied.policy.test"]),
                                        capture_output=True, check=False).stdout == DENIED4.encode() + b"\n", 15, "unbound")

    def quic_datagrams(self):
        """What has come to the sink."""
        return [bytes.fromhex(line) for line in self.quic_log.read_text().split()[1:]]

    def _answer(self):
        for process in self.processes:
            assert process.poll() is None, f"{process.args} ended: {self.folder}/error"
        done = subprocess.run(self.namespace.command(["curl", "-sm2", f"http://{SHARED4}/who"]), capture_output=True, check=False)
        return done.returncode == 0 and self.dns_log.exists() and (
            "started" in self.dns_log.read_text() and "ready" in self.quic_log.read_text())

    def asked(self, name):
        """The zone's server was asked about this name."""
        return f" {name} from " in self.dns_log.read_text()

    def close(self):
        for process in self.processes:
            self.lab.stop(process)
        self.lab.wan.ip("link", "delete", "w-named")
        subprocess.run(["umount", self.namespace.path], check=True)
