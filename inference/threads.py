"""Threads of the inference process, by what may wait."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

BACKGROUND_NICE = 10
"""A tenth of the processor's time of a thread that serves, where both want it."""


def background_thread(name: str) -> ThreadPoolExecutor:
    """Return one thread for work that frames must not wait for, such as preparing the next model.

    On Linux, where each thread has a priority of its own, it yields to the
    threads that serve. Elsewhere it is a thread like any other.
    """
    return ThreadPoolExecutor(1, name, initializer=_yield_to_others)


def _yield_to_others() -> None:
    if sys.platform == "linux":
        thread = threading.get_native_id()
        # A process that was started nicer than this stays so: coming back would need a privilege.
        os.setpriority(os.PRIO_PROCESS, thread, max(os.getpriority(os.PRIO_PROCESS, thread), BACKGROUND_NICE))
