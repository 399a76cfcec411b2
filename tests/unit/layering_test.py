#!/usr/bin/python3
"""Holds the include rule of ARCHITECTURE.md ("Who may include whom") and the purity rule, for every file below src/.

A linker does not notice a header that only uses inline code; this does. It first checks itself: a set of planted
violations must all be found. src/cli/main.cc, program.cc, program_parts.cc, workers.cc and confinement.cc wire everything and are exempt.
"""

import pathlib
import re
import sys
import tempfile

PURE = {"base"}
WIRE = PURE | {"wire"}
# The interfaces to either side and what is pure about them (sf_interfaces): they depend on base, wire and each other
# alone, so any layer above may see them.
INTERFACES = {"link/link.hh", "link/network.hh", "link/to_guest.hh", "link/forwarding.hh", "host/host.hh",
              "host/loopback.hh", "host/resolvers.hh", "host/flow_cause.hh"}
POLICY = WIRE | {"policy"}
TRANSLATORS = {"tcp", "udp", "icmp", "services"}
ENGINE = POLICY | TRANSLATORS | {"engine"}

MAY_INCLUDE = {
    "base": PURE,
    "wire": WIRE,
    "policy": POLICY,
    "flowlog": POLICY | {"flowlog"},
    **{folder: WIRE | {folder} for folder in TRANSLATORS},
    "services": POLICY | {"services"},
    "engine": ENGINE,
    "link": WIRE | {"link"},
    "host": WIRE | {"host"},
    "setup": PURE | {"setup"},
    "control": ENGINE | {"control"},
    "cli": ENGINE | {"cli", "setup", "control", "flowlog"},
}
SEES_INTERFACES = TRANSLATORS | {"engine", "control", "cli", "link", "host"}

# The purity rule: system headers only where the operating system is the subject.
SYSTEM_HEADER = re.compile(
    r"^(sys|linux|netinet|net|arpa|asm|bits)/|^(unistd|fcntl|poll|sched|signal|pthread|netdb|ifaddrs|termios|grp|pwd|"
    r"dirent|spawn|syslog|time|semaphore)\.h$")
MAY_USE_SYSTEM = re.compile(r"^(link|host|setup)/|^control/(server|server_events|metrics_server|socket_file|client|capture_client|directory)\.cc$|"
                            r"^flowlog/(output|flow_log)\.cc$|^base/unique_fd\.")
CLOCK = re.compile(r"\b(clock_gettime|gettimeofday|steady_clock|system_clock|high_resolution_clock|std::time|::time)\b")
# setup/stderr_log stamps log lines with the wall clock; nothing that moves packets sees it. setup/system_calls names calls.
MAY_READ_CLOCK = re.compile(r"^(host/event_loop|setup/stderr_log|setup/system_calls)\.")
EXEMPT = {"cli/main.cc", "cli/program.cc", "cli/program.hh", "cli/program_parts.cc", "cli/workers.cc", "cli/workers.hh", "cli/confinement.cc"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def without_comments(text):
    """Comments may name what code may not; newlines stay, so that line numbers stay right."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)

    def blank(match):
        return match[0] if match[0].startswith('"') else re.sub(r"[^\n]", " ", match[0])

    return pattern.sub(blank, text)


def violations(source):
    found = []
    files = sorted(path for path in source.rglob("*") if path.suffix in (".cc", ".hh"))
    for path in files:
        name = path.relative_to(source).as_posix()
        folder = name.split("/")[0]
        if name in EXEMPT:
            continue
        if folder not in MAY_INCLUDE:
            found.append(f"{name}: folder '{folder}' has no rule: add it to ARCHITECTURE.md and to this test")
            continue
        for number, line in enumerate(without_comments(path.read_text(encoding="utf-8")).splitlines(), 1):
            found += [f"{name}:{number}: {problem}" for problem in problems(name, folder, line, source)]
    return found, len(files)


def problems(name, folder, line, source):
    match = INCLUDE.match(line)
    if not match:
        if CLOCK.search(line) and not MAY_READ_CLOCK.match(name):
            yield f"reads a clock, which only host/event_loop may: {line.strip()}"
        return
    kind, target = match.groups()
    if kind == "<":
        if SYSTEM_HEADER.match(target) and not MAY_USE_SYSTEM.match(name):
            yield (f"<{target}> is a system header: only link/, host/, setup/, base/unique_fd, flowlog's output.cc and "
                   "flow_log.cc, and control's server.cc, server_events.cc, metrics_server.cc, socket_file.cc, client.cc, "
                   "capture_client.cc and directory.cc have them")
        return
    if not (source / target).exists():
        yield f'"{target}" is not below src/: name it from there, folder first'
        return
    other = target.split("/")[0]
    if other in MAY_INCLUDE[folder] or (target in INTERFACES and folder in SEES_INTERFACES):
        return
    yield f'{folder}/ may not include "{target}" (allowed: {", ".join(sorted(MAY_INCLUDE[folder]))})'


def self_check():
    """Plant one violation of each kind; each must be found, and the good file must pass."""
    bad = {
        "tcp/a.cc": '#include "engine/e.hh"\n',
        "policy/a.cc": '#include "host/host.hh"\n',
        "flowlog/a.cc": '#include "engine/e.hh"\n',
        "flowlog/record.cc": "#include <unistd.h>\n",
        "wire/b.cc": "#include <sys/socket.h>\n",
        "engine/c.cc": '#include "host/linux.hh"\n',
        "udp/d.cc": "auto t = std::chrono::steady_clock::now();\n",
        "cli/f.cc": '#include "nowhere.hh"\n',
        "strange/g.cc": "\n",
        "base/h.hh": '#include "wire/w.hh"\n',
        "setup/i.cc": '#include "engine/e.hh"\n',
        "control/j.cc": "#include <sys/un.h>\n",
        "control/server.hh": "#include <sys/un.h>\n",
        "control/client.cc": '#include "cli/m.hh"\n',
        "engine/k.cc": '#include "control/l.hh"\n',
    }
    good = {
        "engine/e.hh": '#include "host/host.hh"\n#include "tcp/t.hh"\n// steady_clock, <sys/socket.h>\n',
        "host/host.hh": '#include "wire/w.hh"\n',
        "host/linux.hh": "#include <sys/socket.h>\n",
        "host/event_loop.cc": "clock_gettime(CLOCK_MONOTONIC, &t);\n",
        "policy/p.hh": '#include "wire/w.hh"\n',
        "services/s.hh": '#include "policy/p.hh"\n',
        "tcp/t.hh": '#include "base/x.hh"\n#include "host/host.hh"\n',
        "wire/w.hh": '#include "base/x.hh"\n#include <vector>\n',
        "base/x.hh": "\n",
        "control/server.cc": '#include <sys/un.h>\n#include "control/l.hh"\n',
        "control/l.hh": '#include "engine/e.hh"\n',
        "cli/m.hh": '#include "control/l.hh"\n',
        "cli/main.cc": '#include "host/linux.hh"\n#include <unistd.h>\n',
    }
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in (bad | good).items():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text(text)
        reported = {line.split(":")[0] for line in violations(root)[0]}
    if reported != set(bad):
        sys.exit(f"layering_test: the test itself is wrong: missed {set(bad) - reported}, false {reported - set(bad)}")


def main():
    self_check()
    source = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2] / "src")
    found, files = violations(source)
    if files < 10:
        sys.exit(f"layering_test: only {files} files below {source}: is that the source folder?")
    print("\n".join(found) if found else f"layering: {files} files keep the rule")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
