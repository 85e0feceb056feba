"""Which partitions are ours, and how many of their frames are on the way."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress

from aiokafka import ConsumerRebalanceListener
from aiokafka.structs import TopicPartition

from inference.metrics import InferenceMetrics


class Partitions(ConsumerRebalanceListener):
    """Lets partitions go only when all their frames are judged and committed.

    Parameters
    ----------
    metrics : InferenceMetrics
        Shows the frames in flight.
    max_in_flight : int
        Most frames between fetching and commit.
    release : callable
        Awaited with the partitions that go, when none of their frames is on the way.
    """

    def __init__(
        self,
        metrics: InferenceMetrics,
        max_in_flight: int,
        release: Callable[[Collection[TopicPartition]], Awaitable[None]],
    ) -> None:
        self._metrics = metrics
        self._limit = max_in_flight
        self._release = release
        self._in_flight = 0
        self._assigned: frozenset[TopicPartition] = frozenset()
        self._changed = asyncio.Condition()
        self._closed = False

    @property
    def assigned(self) -> frozenset[TopicPartition]:
        """Partitions that may be fetched now."""
        return self._assigned

    @property
    def in_flight(self) -> int:
        """Frames between fetching and commit."""
        return self._in_flight

    async def room(self) -> int:
        """Wait until frames may be fetched; return how many, 0 once closed."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._closed or (self._assigned and self._in_flight < self._limit))
        return 0 if self._closed else self._limit - self._in_flight

    def add(self, frames: int) -> None:
        """Count frames as on the way.

        Not a coroutine: called right after the poll that returned them, so
        that no revocation comes between.
        """
        self._in_flight += frames
        self._metrics.in_flight.set(self._in_flight)

    async def remove(self, frames: int) -> None:
        """Count frames as committed."""
        async with self._changed:
            self._in_flight -= frames
            self._metrics.in_flight.set(self._in_flight)
            self._changed.notify_all()

    async def pause(self, seconds: float) -> None:
        """Wait until the last frame on the way has just been committed, at most so long.

        What is begun at any other moment of a pause between frames lasts into
        the next frame, which then takes longer.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait()
                await self._changed.wait_for(lambda: self._in_flight == 0)

    async def close(self) -> None:
        """Let nobody fetch or wait any more."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    async def abandon(self) -> None:
        """Forget the frames on the way: nobody will finish them here, so nobody may wait for them."""
        await self.remove(self._in_flight)

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Wait for the commit of all that was fetched; the group waits for us.

        The client has begun the reassignment before it calls this, and from
        then on returns no records from a poll until there is a new assignment.
        """
        self._assigned = frozenset()
        async with self._changed:
            await self._changed.wait_for(lambda: self._in_flight == 0)
        await self._release(revoked)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Begin to fetch."""
        async with self._changed:
            self._assigned = frozenset(assigned)
            self._changed.notify_all()
