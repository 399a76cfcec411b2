"""TCP streams with iperf3, as all benchmarks measure them."""

import json
import subprocess

from lab.guest import wait_for

from runner import Failed


def client(address, port, seconds, reverse, streams=1, omitted=0):
    return ["iperf3", "-J", "-c", address, "-p", str(port), "-t", str(seconds), "-O", str(omitted), "-P", str(streams), "-C", "cubic",
            *(["-R"] if reverse else [])]


def server(bench, namespace, port):
    """A server for one client, in this namespace; a client that ends badly leaves the next one a fresh server."""
    process = bench.lab.popen(namespace.command(["iperf3", "-s", "-1", "-p", str(port)]), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    wait_for(lambda: namespace.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True).stdout, 5, "iperf3's server", every=0.005)
    return process


def received(told):
    """What arrived, from the JSON of a client."""
    outcome = json.loads(told)
    if "error" in outcome:
        raise Failed(f"iperf3: {outcome['error']}")
    total = outcome["end"]["sum_received"]
    if not total["bytes"]:
        raise Failed("iperf3: nothing was received")
    return total


def measure(bench, contender, address, namespace, seconds, reverse, streams=1, omitted=0):
    """One run from inside to a server in `namespace`: goodput, and the forwarder's CPU seconds per GiB (nothing omitted)."""
    port = next(bench.ports)
    serving = server(bench, namespace, port)
    try:
        before = contender.cpu()
        told = contender.run(client(address, port, seconds, reverse, streams, omitted), seconds + omitted + 15, check=False)
        total = received(told)
        used = contender.cpu() - before
    finally:
        bench.lab.stop(serving, timeout=2)
    return {"rate": total["bits_per_second"] / 1e9, "bytes": total["bytes"],
            "cpu": used / (total["bytes"] / 2**30) if contender.pids() else None}
