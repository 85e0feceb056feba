import ctypes
import os
import platform
import struct
import sys
import threading
from pathlib import Path

import pytest

from inference.tuning import SCHED_ATTR, SLICE_NANOSECONDS, wake_at_once

SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in SCHED_GETATTR, reason="a system call of Linux"
)


def scheduling() -> tuple[int, ...]:
    """Policy, flags, nice, priority and slice of the calling thread."""
    size = struct.calcsize(SCHED_ATTR)
    buffer = ctypes.create_string_buffer(size)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.syscall(SCHED_GETATTR[platform.machine()], 0, buffer, size, 0) == 0, os.strerror(ctypes.get_errno())
    return struct.unpack(SCHED_ATTR, buffer.raw)[1:6]


def linux() -> tuple[int, ...]:
    return tuple(int(part) for part in Path("/proc/sys/kernel/osrelease").read_text().split("-")[0].split(".")[:2])


@pytest.mark.skipif(linux() < (6, 12), reason="slices can be asked for from Linux 6.12 on")
def test_the_loops_thread_has_short_slices_and_those_it_starts_have_not() -> None:
    found = {}

    def child() -> None:
        found["child"] = scheduling()

    def parent() -> None:
        found["before"] = scheduling()
        wake_at_once()
        found["after"] = scheduling()
        started = threading.Thread(target=child)
        started.start()
        started.join()

    thread = threading.Thread(target=parent)
    thread.start()
    thread.join()
    before, after = found["before"], found["after"]
    assert after[-1] == SLICE_NANOSECONDS
    assert before[-1] > SLICE_NANOSECONDS
    assert (after[0], after[2]) == (before[0], before[2])  # policy and nice stay
    assert found["child"][-1] == before[-1]
