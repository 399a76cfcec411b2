"""The benchmark suite itself: one short round of a few rows, as `make bench` would run it. No figure is judged."""

import argparse
import pathlib

import pytest

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"

pytestmark = pytest.mark.release


def test_a_round(lab, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCH))
    import suite
    import summary
    import targets

    names = ["native", "veth", summary.OURS]
    options = argparse.Namespace(groups=["requests", "dns", "syscalls"], rounds=1, seconds=0.2, contenders=names, output=str(tmp_path))
    told, path = suite.run(lab, options)
    said = capsys.readouterr()
    assert path.exists()
    failed = [result for result in told["results"] if "failed" in result]
    assert not failed, f"{failed}\n{said.out}"
    made = summary.Summary(told)
    for row in ("TCP, 1 at once", "UDP, 32 at once", "a connection each, 64 at once"):
        for name in names:
            assert made.get("requests", row, None, name, "rate") > 0, (row, name)
    assert made.get("dns", "queries, 32 at once", None, summary.OURS, "rate") > 0
    assert 0 < made.get("syscalls", "to wan", 1500, summary.OURS, "calls") < 100
    judged = [verdict for verdict in targets.verdicts(told) if verdict.reached is not None]
    assert {verdict.where.split(":")[0] for verdict in judged} == {"syscalls"}  # the others are compared with peers
    assert "targets" in targets.table(told) and "== requests" in summary.tables(told)
