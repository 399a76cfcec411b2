"""Published ports: a server inside, a client on the host's 127.0.0.1: `make bench-published`.

One TCP stream each way (iperf3), and requests per second to nginx (wrk), with keep-alive and with one connection for each.
The contenders take turns within every round: native (the server in `host` itself), slirp-forwarder through the TAP and with
--publish-loopback, slirp4netns (hostfwd), RootlessKit's builtin port driver, and pasta, which splices what comes from the
host's loopback. For streams, those that go through a TAP are measured at each MTU; requests are small, and have MTU 1500.
The client, the server and the forwarder share the machine: nginx has one worker and wrk one thread with 32 connections.
"""

import itertools
import json
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))

import contenders  # noqa: E402
import iperf  # noqa: E402
import report  # noqa: E402
from lab.guest import wait_for  # noqa: E402
from lab.network import Lab  # noqa: E402

CONNECTIONS = 32
FIRST_PORT, LAST_PORT = 20000, 29999
STREAMS = {"host to guest": False, "guest to host": True}  # whether iperf3 goes the reverse way
REQUESTS = {"keep-alive": [], "connection each": ["-H", "Connection: close"]}

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


class Bench:
    def __init__(self, lab, options):
        self.lab, self.seconds = lab, options.seconds
        self.ports = itertools.cycle(range(FIRST_PORT, LAST_PORT + 1))
        # Every run has its own port, so that nothing of the last one is in its way; no client's own port may be one.
        lab.host.sysctl("net/ipv4/ip_local_reserved_ports", f"{FIRST_PORT}-{LAST_PORT}")
        self.wrk_script = lab.path("wrk")
        self.wrk_script.write_text(WRK)

    def stream(self, name, mtu, reverse):
        port = next(self.ports)
        with contenders.ALL[name](self.lab, mtu, port) as contender:
            server = self._serve(contender, ["iperf3", "-4", "-s", "-p", str(port)], port)
            try:
                command = iperf.client("127.0.0.1", port, self.seconds, reverse)
                return iperf.result(contender, lambda: self._client(command), self.seconds)
            finally:
                self.lab.stop(server)

    def requests(self, name, mtu, extra):
        port = next(self.ports)
        with contenders.ALL[name](self.lab, mtu, port) as contender:
            server = self._serve(contender, ["nginx", "-e", "stderr", "-c", self._nginx(port)], port)
            try:
                before = contender.cpu()
                told = json.loads(self._client(["wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", f"{self.seconds}s", "-s", str(self.wrk_script),
                                                *extra, f"http://127.0.0.1:{port}/1k"]).splitlines()[-1])
                cpu = (contender.cpu() - before) / told["requests"] * 100000 if contender.pids() else None
            finally:
                self.lab.stop(server)
        failures = sum(told[kind] for kind in ("connect", "read", "write", "status", "timeout"))
        return {"value": told["requests"] / told["microseconds"] * 1000, "cpu": cpu, "failures": failures, "wrk": told}

    def _nginx(self, port):
        folder = self.lab.path("nginx")
        folder.mkdir()
        folder.chmod(0o777)
        (folder / "1k").write_text("x" * 1023 + "\n")
        (folder / "conf").write_text(NGINX % {"folder": folder, "port": port})
        return str(folder / "conf")

    def _serve(self, contender, argv, port):
        log = self.lab.path("server-log")
        server = contender.popen(argv, log)

        def listens(command):
            if server.poll() is not None:
                raise OSError(f"{argv[0]} ended with status {server.returncode}: {log.read_text().strip()}")
            return subprocess.run([*command, "ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout

        try:
            wait_for(lambda: listens(contender.command([])), 10, f"{argv[0]} inside")
            wait_for(lambda: listens(self.lab.host.command([])), 10, f"the published port {port}")
        except BaseException:
            self.lab.stop(server)
            raise
        return server

    def _client(self, argv):
        return self.lab.user_run(argv, timeout=self.seconds + 30, check=True).stdout


def cases(bench, options, names):
    for measurement, reverse in STREAMS.items():
        for number, mtu in enumerate(options.mtu):
            for name in names:
                through_tap = contenders.ALL[name].needs_mtu
                if number > 0 and not through_tap:
                    continue  # it would be the same again
                yield (measurement, mtu if through_tap else None, name, "Gbit/s",
                       lambda name=name, mtu=mtu, reverse=reverse: bench.stream(name, mtu, reverse))
    for measurement, extra in REQUESTS.items():
        for name in names:
            yield measurement, None, name, "1000/s", lambda name=name, extra=extra: bench.requests(name, 1500, extra)


def without_tools(measurements):
    """Those for which the client and the server are there; one line for each that is not."""
    lacking = [tool for tool in ("nginx", "wrk") if not shutil.which(tool)]
    for tool in lacking:
        print(f"requests: left out: {tool} is not installed", flush=True)
    return [name for name in measurements if name in STREAMS or not lacking]


def print_targets(table):
    """What is to be reached, beside what was, and beside native."""
    def verdict(value, base, wanted, native):
        bound = f" (native: {native / base:.2f})" if native else ""
        return f"{value / base:.2f} times: {'reached' if value >= wanted * base else 'NOT reached'}{bound}"

    print()
    for row in table:
        def of(name, row=row):
            return report.median(table, row["measurement"], row["mtu"], name)

        where = f"{row['measurement']}{', MTU ' + str(row['mtu']) if row['mtu'] else ''}"
        slirp4netns, native = of(contenders.Slirp4netns.name), of(contenders.Native.name)
        if row["contender"] == contenders.Forwarder.name and slirp4netns:
            print(f"Through the TAP, at least 3 times slirp4netns: {where}: {verdict(row['median'], slirp4netns, 3, native)}")
        others = {name: of(name) for name in contenders.ALL if contenders.ALL[name].is_peer and of(name)}
        if row["contender"] == contenders.ForwarderLoopback.name and others:
            fastest = max(others, key=others.get)
            print(f"--publish-loopback, level with the fastest of the others ({fastest}): {where}: "
                  f"{verdict(row['median'], others[fastest], 1, native)}")


def main():
    names = list(contenders.ALL)
    made = report.parser(__doc__, names)
    made.add_argument("--measurements", nargs="+", default=[*STREAMS, *REQUESTS], choices=[*STREAMS, *REQUESTS])
    options = made.parse_args()
    report.inside_or_exit("published.py")
    names = contenders.present(options.contenders)
    options.measurements = without_tools(options.measurements)
    with Lab() as lab:
        chosen = [case for case in cases(Bench(lab, options), options, names) if case[0] in options.measurements]
        results = report.take_turns(chosen, options.rounds)
    table = report.summarize(results)
    path = report.save("published", options, results, table)
    report.print_table(table, [name for name in ("native", "slirp4netns", "rootlesskit builtin", "pasta") if name in names],
                       "CPU")
    print_targets(table)
    print(f"\nPublished on 127.0.0.1, cubic; median of {options.rounds} rounds of {options.seconds} s. wrk: 1 thread, {CONNECTIONS} connections, "
          f"answers of 1 KiB.\nCPU: the forwarder's seconds per GiB, and per 100,000 requests. Raw: {path}")


if __name__ == "__main__":
    main()
