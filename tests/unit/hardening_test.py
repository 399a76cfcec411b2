#!/usr/bin/python3
"""The release binary is hardened: what readelf sees in it, and for what leaves no trace there, the compiler's command lines.

Usage: hardening_test.py BINARY COMPILE_COMMANDS
"""

import json
import pathlib
import platform
import re
import subprocess
import sys

FLAGS = ["-D_FORTIFY_SOURCE=3", "-D_GLIBCXX_ASSERTIONS", "-fstack-protector-strong", "-O3"]
X86 = platform.machine() == "x86_64"
if X86 or platform.machine() == "aarch64":
    FLAGS += ["-fstack-clash-protection", "-fcf-protection=full" if X86 else "-mbranch-protection=standard"]


def readelf(*arguments):
    return subprocess.run(["readelf", "--wide", *arguments], capture_output=True, text=True, check=True).stdout


def problems(binary, commands):
    header, program, dynamic, symbols = (readelf(option, binary) for option in ("-h", "-l", "-d", "--dyn-syms"))
    if not re.search(r"Type:\s+DYN", header) or "PIE" not in dynamic:
        yield "no PIE"
    if "GNU_RELRO" not in program or "BIND_NOW" not in dynamic:
        yield "no full RELRO (-z relro -z now)"
    if re.search(r"GNU_STACK.*RWE", program) or "GNU_STACK" not in program:
        yield "an executable stack"
    if re.search(r"LOAD.*RWE", program):
        yield "a segment that is writable and executable"
    if "TEXTREL" in dynamic:
        yield "relocations in its text"
    if "__stack_chk_fail" not in symbols:
        yield "no stack protector"
    if "_chk@" not in symbols:
        yield "no fortified functions"
    # The note that turns it on needs a C library that is built so, which Debian 12's is not: ours is ready for it.
    if X86 and subprocess.run(["objdump", "-d", "-j", ".text", binary], capture_output=True, text=True,
                              check=True).stdout.count("endbr64") < 100:
        yield "no landing pads for indirect branches (-fcf-protection)"
    for entry in commands:
        if "/src/" not in entry["file"]:
            continue
        words = (entry.get("command") or " ".join(entry["arguments"])).split()
        for flag in FLAGS:
            if flag not in words:
                yield f"{pathlib.Path(entry['file']).name}: compiled without {flag}"


def main():
    binary, commands = sys.argv[1:]
    found = list(problems(binary, json.loads(pathlib.Path(commands).read_text(encoding="utf-8"))))
    if not X86:
        print("control-flow protection: not looked for on this machine")
    print("\n".join(found) if found else "hardened")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
