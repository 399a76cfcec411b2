"""A path of 40 ms with a 100 Mbit/s link: one stream has to fill it, each way."""

import json

import pytest

from lab.network import SLOW4, SLOW6

pytestmark = pytest.mark.release


# A port for each: an iperf3 server that has just ended a test may still reset the next client, natively as well.
@pytest.mark.parametrize("port,address,direction", [(5201, SLOW4, []), (5202, SLOW6, []), (5203, SLOW4, ["-R"]), (5204, SLOW6, ["-R"])],
                         ids=["up-v4", "up-v6", "down-v4", "down-v6"])
def test_one_stream_fills_the_link(guest, port, address, direction):
    out = guest.out(["iperf3", "-J", "-p", str(port), "-c", address, "-t", "6", "-O", "2", *direction], timeout=40)
    report = json.loads(out)
    assert "error" not in report, report["error"]
    received = report["end"]["sum_received"]["bits_per_second"] / 1e6
    assert received >= 85, f"{received:.1f} Mbit/s of goodput"


def test_round_trip_is_what_it_should_be(guest):
    """The lab's own check: without the delay the test above would prove nothing."""
    out = guest.out(f"ping -c 3 -i 0.3 {SLOW4}")
    assert float(out.split("= ")[1].split("/")[0]) >= 40
