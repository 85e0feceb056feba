"""What the process asks of its system: memory that goes back, and a loop that wakes at once."""

import ctypes
import logging
import os
import platform
import struct
import sys

_log = logging.getLogger(__name__)

M_ARENA_MAX, M_MMAP_THRESHOLD = -8, -3
"""Of glibc's malloc.h."""
LARGE_BYTES = 1024 * 1024
"""More than an array of a frame, less than what a model asks for at a time."""

SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
"""Numbers of a system call that older libraries have no name for."""
SCHED_ATTR = "<IIQiIQQQ"
"""struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period."""
SCHED_OTHER, RESET_ON_FORK = 0, 1
SLICE_NANOSECONDS = 100_000
"""The least that the scheduler accepts."""


def set_up_heap() -> None:
    """Let memory go back to the system when a model is freed, and not stay in the allocator's hands.

    All threads share two heaps: glibc otherwise gives each its own, and each
    keeps what a model left there. Large blocks lie outside of them: glibc
    otherwise takes them from the heaps too, once some have been freed, and
    trimming heaps stops every thread that allocates.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_ARENA_MAX, 2)
        libc.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)


def wake_at_once() -> None:
    """Let this thread, which turns the event loop, run as soon as it is woken.

    It asks for short slices of the processor. From Linux 6.12 on, a thread
    that does so interrupts one that computes; otherwise it waits for the end
    of the other's slice, and where a model runs beside one that is being
    built, for two. Its share of the processor stays what it was, and threads
    that it starts have slices as usual. Older systems take no notice.
    """
    number = SCHED_SETATTR.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    size = struct.calcsize(SCHED_ATTR)
    attributes = struct.pack(SCHED_ATTR, size, SCHED_OTHER, RESET_ON_FORK, nice, 0, SLICE_NANOSECONDS, 0, 0)
    if ctypes.CDLL(None, use_errno=True).syscall(number, 0, attributes, 0) != 0:
        _log.warning("the event loop gets slices as usual: %s", os.strerror(ctypes.get_errno()))
