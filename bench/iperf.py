"""One TCP stream with iperf3, as both benchmarks measure it."""

import json


def client(address, port, seconds, reverse):
    return ["iperf3", "-J", "-c", address, "-p", str(port), "-t", str(seconds), "-O", "1", "-C", "cubic", *(["-R"] if reverse else [])]


def result(contender, run, seconds):
    """`run` gives the JSON of an iperf3 client whose stream `contender` forwards."""
    before = contender.cpu()
    end = json.loads(run())["end"]
    after = contender.cpu()
    received = end["sum_received"]
    cpu = None
    if contender.pids():
        # The warm-up second is in the CPU figure but not in the bytes: scale it away.
        cpu = (after - before) / (received["bytes"] / 2**30) * seconds / (seconds + 1)
    return {"value": received["bits_per_second"] / 1e9, "cpu": cpu}
