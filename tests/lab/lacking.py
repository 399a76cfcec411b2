#!/usr/bin/python3
"""Run a command as on a kernel that lacks some of what makes the program fast.

  lacking.py WHAT[,WHAT...] -- CMD ...     WHAT: see LACKS

A system call filter answers as such a kernel would. It is set by root of the lab's world, which may do so without
no_new_privs: newuidmap goes on working. CMD's children have it too.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

NUMBERS = {
    "x86_64": {"ioctl": 16, "setsockopt": 54, "getsockopt": 55, "uname": 63, "recvmmsg": 299, "sendmmsg": 307},
    "aarch64": {"ioctl": 29, "setsockopt": 208, "getsockopt": 209, "uname": 160, "recvmmsg": 243, "sendmmsg": 269},
}
TUNGETDEVNETNS = 0x54E3
TUNSETOFFLOAD, SOL_UDP, UDP_SEGMENT, UDP_GRO = 0x400454D0, 17, 103, 104
CSUM, TSO4, TSO6, USO = 0x01, 0x02, 0x04, 0x60

# Name: (call, [(argument, test, value)], errno). "has": any of these bits.
LACKS = {
    "uso": ("ioctl", [(1, "is", TUNSETOFFLOAD), (2, "has", USO)], errno.EINVAL),
    "tso6": ("ioctl", [(1, "is", TUNSETOFFLOAD), (2, "has", TSO6)], errno.EINVAL),
    "tso": ("ioctl", [(1, "is", TUNSETOFFLOAD), (2, "has", TSO4 | TSO6)], errno.EINVAL),
    "offloads": ("ioctl", [(1, "is", TUNSETOFFLOAD), (2, "has", CSUM)], errno.EINVAL),
    "tap_namespace": ("ioctl", [(1, "is", TUNGETDEVNETNS)], errno.EINVAL),
    "udp_segment": ("getsockopt", [(1, "is", SOL_UDP), (2, "is", UDP_SEGMENT)], errno.ENOPROTOOPT),
    "udp_gro": ("setsockopt", [(1, "is", SOL_UDP), (2, "is", UDP_GRO)], errno.ENOPROTOOPT),
    "sendmmsg": ("sendmmsg", [], errno.ENOSYS),
    "recvmmsg": ("recvmmsg", [], errno.ENOSYS),
    "big_tcp": ("uname", [], errno.ENOSYS),  # by the kernel's version alone can it be told
}

LOAD, IS, HAS, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2


def rule(call, conditions, error):
    """Falls through to what follows where it does not apply."""
    tests = [(LOAD, 0), (IS, NUMBERS[platform.machine()][call])]
    for argument, test, value in conditions:
        tests += [(LOAD, 16 + 8 * argument), (IS if test == "is" else HAS, value)]
    code = []
    for index, (operation, value) in enumerate(tests):
        skip = 0 if operation == LOAD else len(tests) - index
        code.append(struct.pack("HBBI", operation, 0, skip, value))
    return [*code, struct.pack("HBBI", RETURN, 0, 0, ERRNO | error)]


def lack(names):
    code = [line for name in names for line in rule(*LACKS[name])]
    code.append(struct.pack("HBBI", RETURN, 0, 0, ALLOW))
    lines = ctypes.create_string_buffer(b"".join(code))
    program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(lines))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) != 0:
        sys.exit(f"lacking: setting the filter failed: {os.strerror(ctypes.get_errno())}; run it as root of the lab")


def main():
    names, separator, *command = sys.argv[1:] or [""]
    if separator != "--" or not command or not set(names.split(",")) <= set(LACKS):
        sys.exit(__doc__)
    lack(names.split(","))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
