"""Requests to nginx behind a port published on 127.0.0.1: with keep-alive, and with one connection for each.

The client, the server and the forwarder share the machine: nginx has one worker, wrk one thread with 32 connections. The
answers are 1 KiB, the MTU is 1500.
"""

import json
import shutil

import contenders
from rows.published import CONTENDERS, NO_VETH, Published
from runner import Failed, Row
from summary import Metric

TITLE = "nginx behind a published port, wrk with 32 connections"
METRICS = {"rate": Metric("1000/s"), "p99": Metric("ms", more_is_better=False), "failures": Metric("failed", more_is_better=False, digits=0),
           "cpu": Metric("CPU s/100,000", more_is_better=False)}
CONNECTIONS = 32
REQUESTS = {"keep-alive": [], "a connection each": ["-H", "Connection: close"]}

# Debian's own nginx.conf where it matters for speed (sendfile, tcp_nopush); everything that it writes is in the lab.
NGINX = """
user root;
daemon off;
worker_processes 1;
pid %(folder)s/pid;
error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path %(folder)s/body;
  proxy_temp_path %(folder)s/proxy;
  fastcgi_temp_path %(folder)s/fastcgi;
  uwsgi_temp_path %(folder)s/uwsgi;
  scgi_temp_path %(folder)s/scgi;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  server {
    listen 0.0.0.0:%(port)d backlog=4096;
    root %(folder)s;
  }
}
"""
WRK = """
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('{"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
"""


class Nginx(Published):
    def __init__(self, bench):
        super().__init__(bench)
        self.wrk_script = self.lab.path("wrk")
        self.wrk_script.write_text(WRK)

    def requests(self, name, extra):
        port = next(self.bench.ports)
        with contenders.ALL[name](self.lab, 1500, port) as contender:
            server = self.serve(contender, ["nginx", "-e", "stderr", "-c", self._nginx(port)], port)
            try:
                before = contender.cpu()
                told = json.loads(self.client(["wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", f"{self.seconds}s", "-s", str(self.wrk_script),
                                                *extra, f"http://127.0.0.1:{port}/1k"]).splitlines()[-1])
                if not told["requests"]:
                    raise Failed("wrk: no request was answered")
                cpu = (contender.cpu() - before) / told["requests"] * 100000 if contender.pids() else None
            finally:
                self.lab.stop(server)
        failures = sum(told[kind] for kind in ("connect", "read", "write", "status", "timeout"))
        return {"rate": told["requests"] / told["microseconds"] * 1000, "cpu": cpu, "p99": told["p99"] / 1000, "failures": failures}

    def _nginx(self, port):
        folder = self.lab.path("nginx")
        folder.mkdir()
        folder.chmod(0o777)
        (folder / "1k").write_text("x" * 1023 + "\n")
        (folder / "conf").write_text(NGINX % {"folder": folder, "port": port})
        return str(folder / "conf")


def rows(bench):
    names = bench.only(CONTENDERS, "nginx", veth=NO_VETH)
    lacking = [tool for tool in ("nginx", "wrk") if not shutil.which(tool)]
    if lacking:
        bench.absent.append(f"nginx: all: not installed: {' '.join(lacking)}")
        return
    nginx = Nginx(bench)
    for row, extra in REQUESTS.items():
        yield Row(row, names, lambda name, extra=extra: nginx.requests(name, extra))
