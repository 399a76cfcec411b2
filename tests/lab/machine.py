"""The one thing outside the world that the lab touches, as root only: the default congestion control.

A new network namespace takes its default from the machine's, so a guest on a machine with bbr would be measured with
bbr. The value is put back by the last lab that ends; until then it is kept in a file beside a lock.
"""

import contextlib
import fcntl
import os
import pathlib

_SYSCTL = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control")
_STATE = pathlib.Path("/run/slirp-forwarder-lab.state")


@contextlib.contextmanager
def cubic_by_default():
    if os.geteuid() != 0:
        yield
        return
    try:
        state = os.open(_STATE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(state, fcntl.LOCK_SH)
        before = os.pread(state, 64, 0) or _SYSCTL.read_bytes().strip()
        os.pwrite(state, before, 0)
        _SYSCTL.write_text("cubic")
    except OSError as error:
        print(f"lab: the machine's default congestion control stays as it is: {error}")
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(BlockingIOError):  # another lab runs: it will restore the value
            fcntl.flock(state, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _SYSCTL.write_bytes(before)
            _STATE.unlink(missing_ok=True)
        os.close(state)
