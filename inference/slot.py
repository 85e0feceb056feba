"""The place where the serving model sits: swapped at once, freed when nobody uses it any more."""

import asyncio
import ctypes
import sys
from collections.abc import Awaitable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from inference.session import ModelSession

M_ARENA_MAX = -8
"""Of glibc's malloc.h."""


class Serving:
    """A session in the slot, with the number of batches that run on it.

    Parameters
    ----------
    session : ModelSession
        The model.
    announced_at : datetime or None
        When its release was announced; None if it was not announced.
    """

    def __init__(self, session: ModelSession, announced_at: datetime | None) -> None:
        self._session: ModelSession | None = session
        self.version = session.version
        self.announced_at = announced_at
        self.leases = 0
        self.idle = asyncio.Event()
        self.idle.set()

    @property
    def session(self) -> ModelSession:
        """The model.

        Raises
        ------
        RuntimeError
            If it was freed, which no lease ever sees.
        """
        if self._session is None:
            msg = "this session was freed"
            raise RuntimeError(msg)
        return self._session

    def free(self) -> None:
        """Forget the session."""
        self._session = None


class SessionSlot:
    """Holds the serving session; used from one event loop only.

    A batch keeps the session that it began with, whatever is swapped in
    meanwhile. All leases name the welds they are for, so that another slot
    may keep a weld on the version that it began with.
    """

    def __init__(self) -> None:
        self._current: Serving | None = None
        self._filled = asyncio.Event()

    @property
    def current(self) -> Serving | None:
        """What serves now; None before the first model."""
        return self._current

    async def filled(self) -> None:
        """Wait until there is a model."""
        await self._filled.wait()

    @contextmanager
    def lease(self, weld_ids: Iterable[str]) -> Iterator[dict[str, Serving]]:
        """Borrow the session of each weld for the time of a batch.

        Yields
        ------
        dict of str to Serving
            The session to be used, by weld id.

        Raises
        ------
        RuntimeError
            If there is no model yet.
        """
        serving = self._current
        if serving is None:
            msg = "no model is loaded yet"
            raise RuntimeError(msg)
        serving.leases += 1
        serving.idle.clear()
        try:
            yield dict.fromkeys(weld_ids, serving)
        finally:
            serving.leases -= 1
            if serving.leases == 0:
                serving.idle.set()

    def swap(self, session: ModelSession, announced_at: datetime | None = None) -> Awaitable[None]:
        """Let a session serve from now on.

        Returns
        -------
        awaitable
            Done when the session before is drained and freed.
        """
        previous, self._current = self._current, Serving(session, announced_at)
        self._filled.set()
        return self._retire(previous)

    async def _retire(self, previous: Serving | None) -> None:
        if previous is not None:
            await previous.idle.wait()
            # Between two batches: freeing holds the interpreter for milliseconds, which no frame should wait for.
            while self._current is not None and not self._current.idle.is_set():
                await self._current.idle.wait()
            previous.free()
            await asyncio.to_thread(return_memory)


def return_memory() -> None:
    """Give freed memory back to the system: a replaced session otherwise stays in the allocator's hands."""
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


def limit_arenas() -> None:
    """Let all threads share two heaps: glibc otherwise gives each its own, and each keeps what a model left there."""
    if sys.platform == "linux":
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)
