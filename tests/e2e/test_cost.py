"""What the program asks of the kernel, counted: no figure here depends on how fast the machine is.

The limits are what it takes now and some room: on a busy machine there is less to do in a turn of the loop, and more turns.
"""

import argparse
import pathlib

import pytest

from lab.network import WAN4

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"

pytestmark = pytest.mark.release


@pytest.fixture(scope="module")
def measured(lab):
    """The suite's own contender and counter of system calls."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCH))
        import iperf
        import runner
        from rows import syscalls

        bench = runner.Bench(lab, argparse.Namespace(seconds=1, contenders=["slirp-forwarder"]))
        with_perf = syscalls.perf_works()

        def count(action):
            contender = bench.up("slirp-forwarder", 1500)
            with syscalls.Counter(lab, contender.pids(), with_perf) as counter:
                outcome = action(contender)
            return counter.calls, outcome

        yield argparse.Namespace(bench=bench, count=count, iperf=iperf)
        bench.close()


@pytest.mark.parametrize("reverse, most", [(False, 4), (True, 2.5)], ids=["to wan", "from wan"])
def test_calls_per_64_kib(measured, lab, reverse, most):
    calls, outcome = measured.count(lambda contender: measured.iperf.measure(measured.bench, contender, WAN4, lab.wan, 1, reverse))
    assert calls / (outcome["bytes"] / 65536) < most


def test_calls_per_connection(measured):
    load = measured.bench.serving()

    def connect(contender):
        return measured.bench.json(contender, [load, "one-shots", f"--to={WAN4}", "--parallel=1", "--seconds=1"], 30)

    calls, told = measured.count(connect)
    assert told["count"] > 10 and told["lost"] == 0
    assert calls / told["count"] < 36


def test_calls_per_request(measured):
    load = measured.bench.serving()

    def ask(contender):
        return measured.bench.json(contender, [load, "requests", "--protocol=tcp", f"--to={WAN4}", "--parallel=1", "--seconds=1"], 30)

    calls, told = measured.count(ask)
    assert calls / told["count"] < 9
