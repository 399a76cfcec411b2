"""One TCP stream to and from the lab's wan, at MTU 1500 and 65520: `make bench`.

All contenders run in one world and take turns within every round, so that what else the machine does hits them alike:
native (in `host`, without a namespace of its own), slirp-forwarder, slirp4netns, pasta. The last two are Debian's.
The table shows the median of the rounds in Gbit/s, the spread, the ratios, and the forwarder's CPU seconds per GiB.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))

from lab import world  # noqa: E402
from lab.guest import Guest, children, wait_for  # noqa: E402
from lab.network import WAN4, Lab  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")


class Native:
    """iperf3 in `host` itself: what the program's sockets could reach at most."""

    def __init__(self, lab, mtu):
        self.lab = lab

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self, argv, timeout):
        return self.lab.user_run(argv, timeout=timeout, check=True).stdout

    def cpu(self):
        return None


class Forwarder(Native):
    def __init__(self, lab, mtu):
        self.guest = Guest(lab, "--mtu", str(mtu))

    def __enter__(self):
        self.guest.__enter__()
        self.pids = [self.guest.forwarder, *(pid for pid in children(self.guest.forwarder) if _name(pid).startswith("slirp-forw"))]
        return self

    def __exit__(self, *_):
        self.guest.close()

    def run(self, argv, timeout):
        return self.guest.out(argv, timeout)

    def cpu(self):
        return sum(_cpu(pid) for pid in self.pids)


class Attached(Native):
    """A peer that attaches to a namespace which `unshare` made."""

    def __init__(self, lab, mtu):
        self.lab, self.mtu = lab, mtu

    def __enter__(self):
        pid_file = self.lab.path("bench-pid")
        script = f"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep infinity"
        self.holder = self.lab.user_popen(["unshare", "-rmn", "sh", "-c", script])
        wait_for(pid_file.exists, 10, "the namespace")
        self.pid = int(pid_file.read_text())
        self.process = self.lab.user_popen(self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: "default" in self.run(["ip", "-4", "route"], 5), 10, self.command()[0])
        return self

    def __exit__(self, *_):
        self.lab.stop(self.process)
        self.lab.stop(self.holder)

    def run(self, argv, timeout):
        enter = self.lab.enter_as_root(self.pid, "user", "net")
        return subprocess.run([*enter, *argv], capture_output=True, text=True, timeout=timeout, check=True).stdout

    def cpu(self):
        return sum(_cpu(pid) for pid in (self.process.pid, *children(self.process.pid)))


class Slirp4netns(Attached):
    def command(self):
        return ["slirp4netns", "--configure", f"--mtu={self.mtu}", "--disable-host-loopback", str(self.pid), "tap0"]


class Pasta(Attached):
    def command(self):
        # Without --no-map-gw, the address of its gateway, which is our wan, would be the host itself.
        return ["pasta", "--config-net", "--no-map-gw", "-q", "-f", "-i", "h-wan", "-m", str(self.mtu), "-I", "tap0", str(self.pid)]


CONTENDERS = {"native": Native, "slirp-forwarder": Forwarder, "slirp4netns": Slirp4netns, "pasta": Pasta}


def _name(pid):
    return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()


def _cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measure(contender, direction, seconds):
    argv = ["iperf3", "-J", "-c", WAN4, "-t", str(seconds), "-O", "1", "-C", "cubic", *(["-R"] if direction == "from" else [])]
    before = contender.cpu()
    end = json.loads(contender.run(argv, seconds + 30))["end"]
    after = contender.cpu()
    gigabytes = end["sum_received"]["bytes"] / 2**30
    result = {"gbit": end["sum_received"]["bits_per_second"] / 1e9}
    if before is not None:
        # The warm-up second is in the CPU figure but not in the bytes: scale it away.
        result["cpu_per_gib"] = (after - before) / gigabytes * seconds / (seconds + 1)
    return result


def rounds(lab, options):
    results = []
    cases = [(mtu, direction) for mtu in options.mtu for direction in ("to", "from")]
    for number in range(options.rounds):
        for mtu, direction in cases:
            for name in options.contenders:
                if name == "native" and mtu != 1500:
                    continue  # the wan's own MTU does not change
                try:
                    with CONTENDERS[name](lab, mtu) as contender:
                        result = measure(contender, direction, options.seconds)
                except (OSError, subprocess.SubprocessError, KeyError, ValueError) as error:
                    if name in ("native", "slirp-forwarder"):
                        raise
                    # A peer that ends in the middle is no reason to lose the others' figures; the table counts its runs.
                    print(f"round {number + 1}/{options.rounds}  MTU {mtu:5}  {direction:4}  {name}: no figure: {error}", flush=True)
                    continue
                results.append({"round": number, "contender": name, "mtu": mtu, "direction": direction, **result})
                print(f"round {number + 1}/{options.rounds}  MTU {mtu:5}  {direction:4}  {name:16} {result['gbit']:6.2f} Gbit/s",
                      file=sys.stderr, flush=True)
    return results


def summarize(results):
    groups = {}
    for row in results:
        groups.setdefault((row["mtu"], row["direction"], row["contender"]), []).append(row)
    table = []
    for (mtu, direction, name), rows in groups.items():
        speeds = [row["gbit"] for row in rows]
        cpu = [row["cpu_per_gib"] for row in rows if "cpu_per_gib" in row]
        table.append({"mtu": mtu, "direction": direction, "contender": name, "median": statistics.median(speeds),
                      "lowest": min(speeds), "highest": max(speeds), "cpu_per_gib": statistics.median(cpu) if cpu else None})
    return table


def print_table(table):
    def median(mtu, direction, name):
        found = [row["median"] for row in table if (row["mtu"], row["direction"], row["contender"]) == (mtu, direction, name)]
        return found[0] if found else None

    def ratio(value, base):
        return f"{value / base:8.2f}" if base else "       –"

    print(f"\n{'MTU':>5} {'':4} {'contender':16} {'Gbit/s':>7} {'lowest':>7} {'highest':>7} {'/native':>8} {'/slirp4n':>8} {'/pasta':>8} {'CPU s/GiB':>9}")
    for row in sorted(table, key=lambda row: (row["mtu"], row["direction"] == "from", list(CONTENDERS).index(row["contender"]))):
        bases = [median(1500, row["direction"], "native")]
        bases += [median(row["mtu"], row["direction"], name) for name in ("slirp4netns", "pasta")]
        cpu = f"{row['cpu_per_gib']:9.2f}" if row["cpu_per_gib"] is not None else "        –"
        print(f"{row['mtu']:5} {row['direction']:4} {row['contender']:16} {row['median']:7.2f} {row['lowest']:7.2f} {row['highest']:7.2f} "
              + " ".join(ratio(row["median"], base) for base in bases) + f" {cpu}")


def versions():
    def first_line(argv):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return (done.stdout or done.stderr).splitlines()[0]

    return {"slirp-forwarder": first_line([os.environ["SLIRP_FORWARDER"], "--version"]), "kernel": platform.release(),
            "slirp4netns": first_line(["slirp4netns", "--version"]), "pasta": first_line(["pasta", "--version"]),
            "cpus": os.cpu_count()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="per measurement, after one second of warm-up")
    parser.add_argument("--mtu", type=int, nargs="+", default=[1500, 65520])
    parser.add_argument("--contenders", nargs="+", default=[n for n in CONTENDERS if n not in ("slirp4netns", "pasta") or shutil.which(n)],
                        choices=CONTENDERS)
    parser.add_argument("--output", help="folder for the JSON; by default the one in the repository's build/bench")
    options = parser.parse_args()
    if not world.inside():
        sys.exit("stream.py: start it with 'make bench', or: tests/lab/lab.py world -- /usr/bin/python3 bench/stream.py ...")
    with Lab() as lab:
        results = rounds(lab, options)
    table = summarize(results)
    folder = pathlib.Path(options.output or world.REPOSITORY / "build/bench")
    folder.mkdir(parents=True, exist_ok=True)
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    path = folder / f"stream-{stamp}.json"
    path.write_text(json.dumps({"versions": versions(), "rounds": results, "summary": table}, indent=1))
    print_table(table)
    print(f"\nOne TCP stream, cubic, IPv4, wan MTU 1500; median of {options.rounds} rounds of {options.seconds} s. Raw: {path}")


if __name__ == "__main__":
    main()
