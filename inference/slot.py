"""The place where the serving model sits: swapped at once, freed when nobody uses it any more."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from inference.session import ModelSession
from schemas.judgements import ModelRef

PATIENCE_SECONDS = 0.1
"""Longest wait for a pause between frames: under a load without any, nobody should wait for one."""


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
    """Holds the serving session, and those before it that something still needs; used from one event loop only.

    A batch keeps the sessions that it began with, and a weld in progress the
    version that it began with, whatever is swapped in meanwhile.

    Parameters
    ----------
    limit : int
        Most sessions at once.
    needed : callable
        Returns the versions that welds in progress are judged by.
    pause : callable
        Waits until frames pause, at most so many seconds.
    """

    def __init__(self, limit: int, needed: Callable[[], set[int]], pause: Callable[[float], Awaitable[None]]) -> None:
        self.pause = pause
        self._limit = limit
        self._needed = needed
        self._current: Serving | None = None
        self._live: dict[int, Serving] = {}
        self._filled = asyncio.Event()
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def current(self) -> Serving | None:
        """What serves new welds now; None before the first model."""
        return self._current

    @property
    def live(self) -> Mapping[int, Serving]:
        """All sessions in memory that serve, by version."""
        return self._live

    @property
    def has_room(self) -> bool:
        """Whether another session may be built."""
        return len(self._live) < self._limit

    @property
    def retiring(self) -> bool:
        """Whether the memory of a session is being given back."""
        return bool(self._retiring)

    async def filled(self) -> None:
        """Wait until there is a model."""
        await self._filled.wait()

    @contextmanager
    def lease(self, versions: Iterable[int]) -> Iterator[dict[int, Serving]]:
        """Borrow the sessions of versions for the time of a batch.

        Raises
        ------
        KeyError
            If a version is not live.
        """
        borrowed = {version: self._live[version] for version in set(versions)}
        for serving in borrowed.values():
            serving.leases += 1
            serving.idle.clear()
        try:
            yield borrowed
        finally:
            for serving in borrowed.values():
                serving.leases -= 1
                if serving.leases == 0:
                    serving.idle.set()

    def add(self, session: ModelSession) -> None:
        """Keep a version live that welds in progress need."""
        self._live[session.version.model.version] = Serving(session, None)

    def swap(self, session: ModelSession, announced_at: datetime | None = None) -> None:
        """Let a session serve the welds that begin from now on."""
        self._serve(Serving(session, announced_at))

    def swap_to_live(self, model: ModelRef, announced_at: datetime | None = None) -> bool:
        """Let a version serve again that is still in memory; False if it is not."""
        serving = self._live.get(model.version)
        if serving is None or serving.version.model != model:
            return False
        serving.announced_at = announced_at
        self._serve(serving)
        return True

    def _serve(self, serving: Serving) -> None:
        self._current = self._live[serving.version.model.version] = serving
        self._filled.set()
        self.tidy()

    def tidy(self) -> None:
        """Retire the sessions that nothing needs any more."""
        needed = self._needed()
        for version, serving in list(self._live.items()):
            if serving is not self._current and version not in needed:
                del self._live[version]
                task = asyncio.create_task(self._retire(serving))
                self._retiring.add(task)
                task.add_done_callback(self._retiring.discard)

    async def _retire(self, serving: Serving) -> None:
        await serving.idle.wait()
        await self.pause(PATIENCE_SECONDS)
        await asyncio.to_thread(serving.session.give_back)
        # What is left is freed with the interpreter held for milliseconds, which no frame should wait for.
        await self.pause(PATIENCE_SECONDS)
        serving.free()

    async def retired(self) -> None:
        """Wait until the memory of what was retired has been given back."""
        await asyncio.gather(*self._retiring)
