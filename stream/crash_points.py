"""Named places where a process can be told to die, so that tests can kill it exactly there."""

import os
import signal
from collections import Counter

from schemas.errors import WeldstreamError


class BadCrashPointError(WeldstreamError):
    """What names the crash point cannot be read."""

    reason = "bad_crash_point"


class CrashPoints:
    """Ends the process with SIGKILL when it comes to a place for the n-th time; does nothing unless told to.

    Parameters
    ----------
    where : str
        Empty, or ``name:n``.

    Raises
    ------
    BadCrashPointError
        If it is neither.
    """

    def __init__(self, where: str = "") -> None:
        name, _, count = where.partition(":")
        if where and not (name and count.isdigit() and int(count) > 0):
            raise BadCrashPointError(f"a crash point is written name:n, for example sent:3, not {where!r}")
        self._name = name
        self._count = int(count) if where else 0
        self._reached: Counter[str] = Counter()

    def reach(self, name: str) -> None:
        """Come to a place."""
        if name != self._name:
            return
        self._reached[name] += 1
        if self._reached[name] == self._count:
            os.kill(os.getpid(), signal.SIGKILL)
