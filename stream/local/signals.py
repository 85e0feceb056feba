"""SIGTERM and a closed terminal end a program as Ctrl-C does: by an exception, so that what it started is stopped."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


def _exit(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


@contextmanager
def exit_on_signals(*numbers: int) -> Iterator[None]:
    """Raise SystemExit in the main thread when one of these signals comes.

    Parameters
    ----------
    *numbers : int
        By default SIGTERM and SIGHUP. The exit status is 128 + the signal's
        number, as shells have it.

    Raises
    ------
    ValueError
        If called outside the main thread.
    """
    chosen = numbers or (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, _exit) for number in chosen}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
