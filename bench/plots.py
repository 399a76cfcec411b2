"""Bar charts as SVG, from the JSON of a run alone: `make bench-plots`.

    /usr/bin/python3 bench/plots.py --output docs/bench build/bench/bench-*.json
"""

import argparse
import dataclasses
import html
import json
import math
import pathlib

from summary import OURS, Summary, merge

COLOURS = {"native": "#9aa5b1", "veth": "#52606d", OURS: "#0b7285", f"{OURS} loopback": "#66d9e8", "slirp4netns": "#e8590c",
           "rootlesskit builtin": "#9c36b5", "pasta": "#f2b134"}
WIDTH, LEFT, RIGHT, BAR, GAP, TOP = 880, 215, 90, 14, 14, 64


@dataclasses.dataclass(frozen=True)
class Bar:
    label: str
    group: str
    row: str
    mtu: int | None
    metric: str


@dataclasses.dataclass(frozen=True)
class Chart:
    name: str
    title: str
    unit: str
    bars: tuple
    logarithmic: bool = False
    digits: int = 1


def _stream_bars(mtu):
    return tuple(Bar(f"{direction}, {streams}", "streams", f"{direction}, {streams}", mtu, "rate")
                 for direction in ("to wan", "from wan") for streams in ("1 stream", "8 streams", "128 streams"))


CHARTS = (
    Chart("streams-1500", "TCP streams, MTU 1500", "Gbit/s", _stream_bars(1500)),
    Chart("streams-65520", "TCP streams, MTU 65520", "Gbit/s", _stream_bars(65520)),
    Chart("cpu", "CPU of the forwarder, one TCP stream (less is better)", "seconds per GiB, logarithmic",
          tuple(Bar(f"{direction}, MTU {mtu}", "streams", f"{direction}, 1 stream", mtu, "cpu")
                for mtu in (1500, 65520) for direction in ("to wan", "from wan")), logarithmic=True, digits=2),
    Chart("datagrams", "UDP, 1400-byte datagrams, less than 1 % lost", "Gbit/s, logarithmic",
          tuple(Bar(row, "datagrams", row, None, "rate") for row in ("to wan", "from wan", "to wan, GSO", "from wan, GSO")), logarithmic=True, digits=2),
    Chart("requests", "Requests and replies of 64 bytes; DNS queries", "per second",
          (*(Bar(row, "requests", row, None, "rate") for row in ("TCP, 1 at once", "TCP, 32 at once", "UDP, 1 at once", "UDP, 32 at once",
                                                               "a connection each, 1 at once", "a connection each, 64 at once")),
           Bar("DNS, 32 at once", "dns", "queries, 32 at once", None, "rate")), digits=0),
    Chart("nginx", "nginx behind a published port, wrk with 32 connections", "1000 requests per second",
          tuple(Bar(row, "nginx", row, None, "rate") for row in ("keep-alive", "a connection each"))),
    Chart("start", "From start to ready (less is better)", "milliseconds", (Bar("attach to a namespace", "idle", "start to ready", None, "ready"),
                                                                           Bar("run a command", "idle", "start to a command's output", None, "ready"))),
)


class Drawing:
    def __init__(self, chart, height):
        self.parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">',
                      f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>']
        self.text(16, 24, chart.title, size=16, weight="bold")

    def text(self, x, y, words, anchor="start", size=12, weight="normal", colour="#1f2933"):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" '
                          f'fill="{colour}">{html.escape(words)}</text>')

    def bar(self, x, y, width, height, colour):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{height}" fill="{colour}"/>')

    def line(self, x1, y1, x2, y2, colour):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>')

    def done(self):
        return "\n".join([*self.parts, "</svg>", ""])


def _scale(chart, values):
    """A function from a value to its length, and where to draw lines."""
    room = WIDTH - LEFT - RIGHT
    positive = [value for value in values if value > 0]
    if chart.logarithmic and positive:
        low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
        high = max(high, low + 1)
        return (lambda value: room * (math.log10(value) - low) / (high - low) if value > 0 else 0), [10.0**power for power in range(low, high + 1)]
    most = max(values) or 1
    step = 10 ** math.floor(math.log10(most))
    step = next(step * part for part in (0.2, 0.5, 1, 2) if most / (step * part) <= 6)
    ticks = [step * number for number in range(math.ceil(most / step) + 1)]
    return (lambda value: room * value / ticks[-1]), ticks


def draw(chart, summary):
    """The chart as SVG, or None where the runs have nothing for it. Bars are medians, thin lines the spread."""
    found = []
    for bar in chart.bars:
        rows = {name: summary.spread(bar.group, bar.row, bar.mtu, name, bar.metric) or
                (summary.spread(bar.group, bar.row, 1500, name, bar.metric) if name == "native" else None) for name in COLOURS}
        rows = {name: spread for name, spread in rows.items() if spread}
        if rows:
            found.append((bar, rows))
    if not found:
        return None
    names = [name for name in COLOURS if any(name in rows for _, rows in found)]
    height = TOP + sum(len(rows) * BAR + GAP for _, rows in found) + 36
    drawing = Drawing(chart, height)
    at = 16
    for name in names:
        drawing.bar(at, 36, 11, 11, COLOURS[name])
        drawing.text(at + 15, 46, name)
        at += 34 + 6.6 * len(name)
    length, ticks = _scale(chart, [spread[2] for _, rows in found for spread in rows.values()])
    for tick in ticks:
        drawing.line(LEFT + length(tick), TOP - 6, LEFT + length(tick), height - 34, "#e4e7eb")
        drawing.text(LEFT + length(tick), height - 20, f"{tick:g}", "middle", 11, colour="#616e7c")
    drawing.text(WIDTH - RIGHT, height - 6, chart.unit, "end", 11, colour="#616e7c")
    y = TOP
    for bar, rows in found:
        drawing.text(LEFT - 8, y + len(rows) * BAR / 2 + 4, bar.label, "end")
        for name, (lowest, middle, highest, _) in rows.items():
            drawing.bar(LEFT, y, length(middle), BAR - 2, COLOURS[name])
            drawing.line(LEFT + length(lowest), y + BAR / 2 - 1, LEFT + length(highest), y + BAR / 2 - 1, "#000000")
            drawing.text(LEFT + length(highest) + 5, y + BAR - 4, f"{middle:.{chart.digits}f}", size=10, weight="bold" if name == OURS else "normal")
            y += BAR
        y += GAP
    return drawing.done()


def write(run, folder):
    """All charts that the run has something for; their paths."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    summary, written = Summary(run), []
    for chart in CHARTS:
        drawn = draw(chart, summary)
        if drawn:
            path = folder / f"{chart.name}.svg"
            path.write_text(drawn, encoding="utf-8")
            written.append(path)
    return written


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", required=True, help="folder for the SVGs")
    parser.add_argument("runs", nargs="+", help="JSON of one or more runs; of a group that is in several of them, the last counts")
    options = parser.parse_args()
    for path in write(merge([json.loads(pathlib.Path(path).read_text()) for path in options.runs]), options.output):
        print(path)


if __name__ == "__main__":
    main()
