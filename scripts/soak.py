"""`make soak`: mixed real clients in one guest for SOAK_MINUTES (30), each checking what it gets. At the end, once UDP
mappings have gone, memory and descriptors have to be where they were before the first client."""

import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))

from lab import content, world  # noqa: E402
from lab.guest import Guest, children  # noqa: E402
from lab.network import FAR4, HOST4, Lab, SLOW4, WAN4, WAN6  # noqa: E402

SIZE = 64 << 20
MEMORY_KB = 2560  # more than at the beginning: 1 MiB of it are the pieces that a pool keeps (ARCHITECTURE.md, "Every limit")
DESCRIPTORS = 4
MAPPING_SECONDS = 320  # a UDP mapping with answers is kept for 300
LOAD = str(world.BIN / "bench_load")


class Soak:
    def __init__(self, lab, guest, digest, commit):
        self.lab, self.guest, self.digest, self.commit = lab, guest, digest, commit
        self.counts, self.failures = {}, []
        self.stop = threading.Event()

    # --- clients: each raises, or asserts, where something is wrong

    def download(self):
        host = random.choice([WAN4, f"[{WAN6}]"])
        out = self.guest.out(f"curl -sS -m 120 http://{host}/file/soak | sha256sum", timeout=150)
        assert out.split()[0] == self.digest, out

    def upload(self):
        host = random.choice([WAN4, f"[{WAN6}]"])
        out = self.guest.out(["curl", "-sS", "-m", "120", "-T", self.lab.tmp / "soak", f"http://{host}/x"], timeout=150)
        assert out.split() == [self.digest, str(SIZE)], out

    def published(self):
        done = self.lab.user_run(["sh", "-c", f"curl -sS -m 60 http://{HOST4}:8080/soak | sha256sum"], namespace=self.lab.wan,
                                 timeout=90)
        assert done.stdout.split()[0] == self.digest, done.stderr

    def stream(self):
        words = random.choice([[], ["-R"], ["-u", "-b", "50M"]])
        out = self.guest.out(["iperf3", "-J", "-t", "5", "-c", WAN4, *words], timeout=60)
        end = json.loads(out)["end"]
        assert end.get("sum_received", end.get("sum"))["bytes"] > 1 << 20, end

    def dns(self):
        for name, expected in (("wan.lab.test", WAN4), ("far.lab.test", FAR4)):
            for how in ([], ["+tcp"]):
                out = self.guest.out(["dig", "+short", *how, "@10.0.2.3", name])
                assert expected in out.split(), (name, how, out)

    def ping(self):
        for host in (WAN4, WAN6, SLOW4):
            self.guest.run(["ping", "-c", "3", "-i", "0.2", "-W", "3", host])

    def clone(self):
        out = self.guest.out(f"d=$(mktemp -d); git clone -q git://{WAN4}/soak $d/soak && git -C $d/soak fsck --full 2>&1; "
                             "git -C $d/soak rev-parse HEAD; rm -rf $d", timeout=120)
        assert out.split()[-1] == self.commit, out

    def refused(self):
        done = self.guest.run(["curl", "-sS", "-m", "5", f"http://{WAN4}:81/"], check=False)
        assert done.returncode == 7, done

    def short_connections(self):
        said = json.loads(self.guest.out([LOAD, "one-shots", f"--to={WAN4}", "--seconds=2", "--parallel=20"]))
        assert said["lost"] == 0 and said["count"] > 20, said

    # --- the run

    CLIENTS = ("download", "upload", "published", "stream", "dns", "ping", "clone", "refused", "short_connections")

    def go(self, name):
        try:
            getattr(self, name)()
            self.counts[name] = self.counts.get(name, 0) + 1
        except Exception as error:  # pylint: disable=broad-except
            self.failures.append(f"{name}: {type(error).__name__}: {error}"[:2000])
            self.stop.set()

    def _loop(self, name):
        while not self.stop.is_set():
            self.go(name)
            self.stop.wait(random.uniform(0.1, 1))

    def run(self, minutes):
        end = time.monotonic() + minutes * 60
        threads = [threading.Thread(target=self._loop, args=(name,)) for name in self.CLIENTS]
        for thread in threads:
            thread.start()
        while time.monotonic() < end and not self.stop.is_set():
            self.stop.wait(min(60, max(0.1, end - time.monotonic())))
            print(f"  {max(0, end - time.monotonic()) / 60:5.1f} min left: {sum(self.counts.values())} done; {self.state()}",
                  flush=True)
        self.stop.set()
        for thread in threads:
            thread.join()

    def state(self):
        pids = [self.guest.forwarder] + [pid for pid in children(self.guest.forwarder)
                                         if pathlib.Path(f"/proc/{pid}/comm").read_text().startswith("slirp-forwarder")]
        memory = 0
        for pid in pids:
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                memory += int(line.split()[1]) if line.startswith(("Private_", "Swap:")) else 0
        return {"kilobytes": memory, "descriptors": sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)}

    def settle(self, than=None):
        """The state once the mappings are gone, or it is no more than `than`."""
        state = self.state()
        for _ in range(MAPPING_SECONDS):
            if than is not None and self.good(state, than):
                break
            time.sleep(1)
            state = self.state()
        return state

    @staticmethod
    def good(state, than):
        return (state["kilobytes"] <= than["kilobytes"] + MEMORY_KB
                and state["descriptors"] <= than["descriptors"] + DESCRIPTORS)


def make_repository(lab):
    """A bare repository that git's own daemon serves in wan; its HEAD."""
    path = lab.tmp / "repositories"
    script = f"""set -e; export HOME={lab.tmp}; mkdir -p {path}; cd {path}; git init -q -b main work; cd work
git config user.email soak@lab.test; git config user.name soak
for i in $(seq 30); do head -c 200000 /dev/urandom > file$i; git add .; git commit -q -m "change $i"; done
git clone -q --bare . ../soak; git rev-parse HEAD"""
    done = subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True)
    daemon = ["git", "-c", "safe.directory=*", "daemon", "--reuseaddr", "--export-all", f"--base-path={path}", str(path)]
    lab.popen(lab.wan.command(daemon), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    return done.stdout.strip()


def main():
    minutes = float(os.environ.get("SOAK_MINUTES", "30"))
    with Lab() as lab:
        path = lab.tmp / "soak"
        digest = content.write(path, SIZE)
        path.chmod(0o644)
        commit = make_repository(lab)
        server = lab.popen(lab.wan.command([LOAD, "serve", "--", WAN4]), stdout=subprocess.PIPE)
        assert server.stdout.readline() == "ready\n"
        with Guest(lab, "-p", "8080:80") as guest:
            guest.popen(["/usr/bin/python3", "-m", "http.server", "-d", lab.tmp, "80"], stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL)
            soak = Soak(lab, guest, digest, commit)
            at_start = soak.state()
            time.sleep(1)
            for name in soak.CLIENTS:
                soak.go(name)
            print(f"soak: at the start {at_start}, after the first round {soak.state()}", flush=True)
            if not soak.failures:
                soak.run(minutes)
            at_end = soak.settle(than=at_start)
            print(f"soak: at the end {at_end}; done: {soak.counts}")
            problems = soak.failures
            if not soak.good(at_end, at_start):
                problems.append(f"memory or descriptors are not where they were: {at_start} at the start, {at_end} at the end")
            if guest.process.poll() is not None:
                problems.append("the program has ended")
            if len(guest.messages().splitlines()) > 20:
                problems.append(f"it has said much:\n{guest.messages()[-2000:]}")
    if problems:
        sys.exit("soak: " + "\n".join(problems))
    print(f"soak: {minutes:g} minutes, {sum(soak.counts.values())} clients, all right")


if __name__ == "__main__":
    main()
