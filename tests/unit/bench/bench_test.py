"""The benchmarks' tables, verdicts and plots, from made-up results: what they say is what was measured."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

BENCH = pathlib.Path(__file__).resolve().parents[3] / "bench"
sys.path.insert(0, str(BENCH))
sys.dont_write_bytecode = True

import plots  # noqa: E402
import summary  # noqa: E402
import targets  # noqa: E402

RATE = {"rate": {"unit": "Gbit/s", "more_is_better": True, "digits": 2}, "cpu": {"unit": "CPU s/GiB", "more_is_better": False, "digits": 3}}
OURS = summary.OURS


def result(contender, metrics, number=0, group="streams", row="to wan, 1 stream", mtu=1500):
    outcome = {"failed": metrics} if isinstance(metrics, str) else {"metrics": metrics}
    return {"group": group, "row": row, "mtu": mtu, "contender": contender, "round": number, **outcome}


def run_of(*results, groups=("streams",)):
    return {"groups": {name: {"title": name, "metrics": RATE} for name in groups}, "results": list(results), "absent": ["a note"]}


def rates(contender, *values, **place):
    return [result(contender, {"rate": value, "cpu": None}, number, **place) for number, value in enumerate(values)]


def verdict(run, wanted, where="streams: to wan, 1 stream, MTU 1500"):
    found = [each for each in targets.verdicts(run) if each.where == where and wanted in each.wanted]
    assert len(found) == 1, found
    return found[0]


class SummaryTest(unittest.TestCase):
    def test_median_and_spread(self):
        made = summary.Summary(run_of(*rates(OURS, 5, 1, 9)))
        self.assertEqual(made.get("streams", "to wan, 1 stream", 1500, OURS, "rate"), 5)
        self.assertEqual(made.spread("streams", "to wan, 1 stream", 1500, OURS, "rate"), (1, 5, 9, 3))
        self.assertIsNone(made.get("streams", "to wan, 1 stream", 65520, OURS, "rate"))
        self.assertIsNone(made.get("streams", "to wan, 1 stream", 1500, OURS, "cpu"))

    def test_native_answers_at_any_mtu_and_only_native(self):
        made = summary.Summary(run_of(*rates("native", 4), *rates("veth", 3)))
        self.assertEqual(made.get("streams", "to wan, 1 stream", 65520, "native", "rate"), 4)
        self.assertIsNone(made.get("streams", "to wan, 1 stream", 65520, "veth", "rate"))

    def test_best_peer_is_the_highest_or_the_lowest(self):
        made = summary.Summary(run_of(*rates("pasta", 2), *rates("slirp4netns", 3), *rates("veth", 30)))
        self.assertEqual(made.best_peer("streams", "to wan, 1 stream", 1500, "rate"), ("slirp4netns", 3))
        self.assertEqual(made.best_peer("streams", "to wan, 1 stream", 1500, "rate", more_is_better=False), ("pasta", 2))

    def test_table_tells_ratios_rounds_and_failures(self):
        text = summary.tables(run_of(*rates("veth", 20), *rates(OURS, 10, 12), result(OURS, "it broke", 2), result("pasta", "never up")))
        ours = next(line for line in text.splitlines() if line.startswith(f"  {OURS}"))
        for part in ("11.00 Gbit/s", "10.00 to 12.00", "0.55 of veth", "[2]", "1 failed: it broke"):
            self.assertIn(part, ours)
        self.assertIn("pasta                    no figure: never up", text)
        self.assertIn("note: a note", text)

    def test_merge_takes_a_group_from_the_last_run_that_has_it(self):
        one = run_of(*rates(OURS, 1), *rates(OURS, 7, group="dns"), groups=("streams", "dns"))
        made = summary.Summary(summary.merge([one, run_of(*rates(OURS, 2))]))
        self.assertEqual(made.get("streams", "to wan, 1 stream", 1500, OURS, "rate"), 2)
        self.assertEqual(made.get("dns", "to wan, 1 stream", 1500, OURS, "rate"), 7)


class TargetsTest(unittest.TestCase):
    def test_part_of_veth(self):
        self.assertTrue(verdict(run_of(*rates("veth", 10), *rates(OURS, 8)), "times veth").reached)
        missed = verdict(run_of(*rates("veth", 10), *rates(OURS, 7.9)), "times veth")
        self.assertIs(missed.reached, False)
        self.assertEqual(missed.figure, "0.79 times")

    def test_less_is_better(self):
        def made(ours):
            return run_of(result("pasta", {"rate": 1, "cpu": 2.0}), result("slirp4netns", {"rate": 1, "cpu": 8.0}),
                          result(OURS, {"rate": 1, "cpu": ours}))

        self.assertTrue(verdict(made(0.2), "cpu").reached)
        self.assertIs(verdict(made(0.21), "cpu").reached, False)

    def test_what_was_not_measured_is_not_judged(self):
        for run in (run_of(*rates(OURS, 8)), run_of(*rates("veth", 8)), run_of()):
            self.assertIsNone(verdict(run, "times veth").reached)

    def test_the_lesser_of_peer_and_veth(self):
        where, place = "datagrams: to wan", {"group": "datagrams", "row": "to wan", "mtu": None}
        peer, veth = rates("pasta", 10, **place), rates("veth", 12, **place)
        self.assertTrue(verdict(run_of(*peer, *veth, *rates(OURS, 11, **place)), "rate", where).reached)  # 0.9 of 12 is less than 20
        self.assertIs(verdict(run_of(*peer, *rates(OURS, 11, **place)), "rate", where).reached, False)

    def test_peers_that_all_failed(self):
        where, place = "datagrams: from wan, GSO", {"group": "datagrams", "row": "from wan, GSO", "mtu": None}
        failed = [result(name, "1 % or more is lost", **place) for name in ("pasta", "slirp4netns")]
        self.assertEqual(verdict(run_of(*failed, *rates(OURS, 1, **place)), "rate", where).figure, "no peer has a figure")
        self.assertIsNone(verdict(run_of(*failed), "rate", where).reached)

    def test_what_was_tried_in_vain_is_not_reached(self):
        missed = verdict(run_of(*rates("veth", 8), result(OURS, "it broke")), "times veth")
        self.assertIs(missed.reached, False)
        self.assertIn("it broke", missed.figure)

    def test_wake_ups_have_to_be_none(self):
        place = {"group": "idle", "row": "while nothing happens", "mtu": None}
        for count, reached in ((0, True), (0.25, False)):
            run = run_of(result(OURS, {"memory": 1, "wakeups": count}, **place))
            self.assertIs(verdict(run, "wakeups", "idle: while nothing happens").reached, reached)

    def test_counts_at_the_end(self):
        lines = targets.table(run_of(*rates("veth", 10), *rates(OURS, 8))).splitlines()
        self.assertTrue(lines[-1].startswith("1 reached, 0 not, "), lines[-1])


class PlotsTest(unittest.TestCase):
    def test_bars_are_as_long_as_the_figures(self):
        with tempfile.TemporaryDirectory() as folder:
            run = pathlib.Path(folder, "run.json")
            run.write_text(json.dumps(run_of(*rates("veth", 20), *rates(OURS, 10), *rates("pasta", 5))))
            done = subprocess.run([sys.executable, str(BENCH / "plots.py"), "--output", folder, str(run)], capture_output=True, text=True, check=True)
            self.assertEqual([pathlib.Path(line).name for line in done.stdout.split()], ["streams-1500.svg"])
            root = xml.etree.ElementTree.parse(pathlib.Path(folder, "streams-1500.svg")).getroot()
        lengths = {}
        for rect in root.iter("{http://www.w3.org/2000/svg}rect"):
            if float(rect.get("x", "0")) == plots.LEFT:
                lengths[rect.get("fill")] = float(rect.get("width"))
        self.assertEqual(len(lengths), 3)
        self.assertAlmostEqual(lengths[plots.COLOURS["veth"]] / lengths[plots.COLOURS[OURS]], 2, places=2)
        self.assertAlmostEqual(lengths[plots.COLOURS["veth"]] / lengths[plots.COLOURS["pasta"]], 4, places=2)

    def test_every_bar_and_every_target_is_a_row_that_exists(self):
        """A name that is mistyped would never be measured, drawn or judged."""
        text = "\n".join(path.read_text() for path in (BENCH / "rows").glob("*.py"))
        for bar in (bar for chart in plots.CHARTS for bar in chart.bars):
            self.assertTrue((BENCH / "rows" / f"{bar.group}.py").exists(), bar.group)
            self.assertIn(f'"{bar.metric}"', text)
        for each in targets.verdicts(run_of()):
            self.assertTrue((BENCH / "rows" / f"{each.where.split(':')[0]}.py").exists(), each.where)


if __name__ == "__main__":
    unittest.main()
