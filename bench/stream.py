"""One TCP stream to and from the lab's wan, at MTU 1500 and 65520: `make bench-stream`.

All contenders run in one world and take turns within every round, so that what else the machine does hits them alike:
native (in `host`, without a namespace of its own), slirp-forwarder, slirp4netns, pasta. The last two are Debian's.
The table shows the median of the rounds in Gbit/s, the spread, the ratios, and the forwarder's CPU seconds per GiB.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))

import contenders  # noqa: E402
import iperf  # noqa: E402
import report  # noqa: E402
from lab.network import WAN4, Lab  # noqa: E402

NAMES = [kind.name for kind in (contenders.Native, contenders.Forwarder, contenders.Slirp4netns, contenders.Pasta)]


def cases(lab, options, names):
    def measure(name, mtu, reverse):
        with contenders.ALL[name](lab, mtu) as contender:
            command = iperf.client(WAN4, 5201, options.seconds, reverse)
            return iperf.result(contender, lambda: contender.run(command, options.seconds + 30), options.seconds)

    for mtu in options.mtu:
        for reverse in (False, True):
            for name in names:
                if name == contenders.Native.name:
                    if mtu != options.mtu[0]:
                        continue  # the wan's own MTU does not change
                    shown = None
                else:
                    shown = mtu
                yield ("from wan" if reverse else "to wan", shown, name, "Gbit/s",
                       lambda name=name, mtu=mtu, reverse=reverse: measure(name, mtu, reverse))


def main():
    options = report.parser(__doc__, NAMES).parse_args()
    report.inside_or_exit("stream.py")
    names = contenders.present(options.contenders)
    with Lab() as lab:
        results = report.take_turns(list(cases(lab, options, names)), options.rounds)
    table = report.summarize(results)
    path = report.save("stream", options, results, table)
    report.print_table(table, [name for name in ("native", "slirp4netns", "pasta") if name in names], "CPU s/GiB")
    print(f"\nOne TCP stream, cubic, IPv4, wan MTU 1500; median of {options.rounds} rounds of {options.seconds} s. Raw: {path}")


if __name__ == "__main__":
    main()
