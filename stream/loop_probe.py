"""How long an event loop leaves what is due waiting."""

import asyncio
import time
from collections.abc import Awaitable, Callable


class LoopProbe:
    """Asks the loop again and again to be called soon, and tells how late it was.

    What is late is whatever keeps the loop from turning: a callback that
    computes, another thread that holds the interpreter, or a system that
    gives the processor to others. A stall that begins between two calls is
    seen short by at most ``interval_seconds``.

    Parameters
    ----------
    observe : callable
        Told, for each window of time, the longest stall in it in seconds, and
        whether ``busy`` was true at any time in it.
    busy : callable
        Whether something is under way that the stalls are to be told apart by.
    interval_seconds : float
        Between two calls.
    window_seconds : float
        Length of a window.
    clock, sleep : callable
        Return seconds, and wait for seconds.
    """

    def __init__(
        self,
        observe: Callable[[float, bool], None],
        busy: Callable[[], bool],
        *,
        interval_seconds: float,
        window_seconds: float = 0.25,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._observe = observe
        self._busy = busy
        self._interval = interval_seconds
        self._window = window_seconds
        self._clock = clock
        self._sleep = sleep

    async def run(self) -> None:
        """Probe until cancelled."""
        while True:
            self._observe(*await self._watch())

    async def _watch(self) -> tuple[float, bool]:
        longest, busy = 0.0, False
        before = began = self._clock()
        while before < began + self._window:
            busy = self._busy() or busy
            await self._sleep(self._interval)
            after = self._clock()
            longest = max(longest, after - before - self._interval)
            before = after
        return longest, self._busy() or busy
