"""Waiting for services that are away, instead of giving up what depends on them."""

import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol, TypeVar

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from learner.telemetry import LearnerMetrics
from memory.admission import Chance
from memory.samples import Sample
from memory.sampling import Policy
from memory.stores.base import Admission, Capacity, MemoryStats, SampleStore
from stream.retry import RetryPolicy

_log = logging.getLogger(__name__)

T = TypeVar("T")
_PATIENT = RetryPolicy(attempts=1_000_000)
"""For work that must not be given up while a service is away."""

_ALSO = (RedisConnectionError, RedisTimeoutError)


class Patience(Protocol):
    """Repeats work for as long as a service is away."""

    async def __call__(self, step: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Return what the first attempt that succeeds returns."""
        ...


class Patient:
    """Repeats, and tells meanwhile what it waits for.

    Parameters
    ----------
    rng : random.Random
        Jitter.
    metrics : LearnerMetrics
        Counts repetitions.
    """

    def __init__(self, rng: random.Random, metrics: LearnerMetrics) -> None:
        self._rng = rng
        self._metrics = metrics
        self._waiting: dict[str, str] = {}

    @property
    def waits_for(self) -> str | None:
        """What is waited for, for people; None if nothing is."""
        return next((f"{step} does not work: {error}" for step, error in self._waiting.items()), None)

    async def __call__(self, step: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """See :class:`Patience`."""

        def report(number: int, error: BaseException) -> None:
            self._waiting[step] = str(error)
            self._metrics.retries.labels(step).inc()
            _log.warning("attempt %d of %s failed, trying again: %s", number, step, error)

        try:
            return await _PATIENT.run(attempt, rng=self._rng, also=_ALSO, on_retry=report)
        finally:
            self._waiting.pop(step, None)


class PatientStore:
    """A store that waits where the one behind it does not answer.

    Parameters
    ----------
    store : SampleStore
        Behind it.
    patiently : Patience
        Repeats.
    """

    def __init__(self, store: SampleStore, patiently: Patience) -> None:
        self._store = store
        self._patiently = patiently

    async def admit(self, sample: Sample, capacity: Capacity, chance: Chance) -> Admission:
        """See :class:`~memory.stores.base.SampleStore`."""
        attempts = 0

        async def attempt() -> Admission:
            nonlocal attempts
            attempts += 1
            return await self._store.admit(sample, capacity, chance)

        admission = await self._patiently("redis", attempt)
        # After a lost answer the store may know the sample from our own first attempt.
        return replace(admission, duplicate=False) if attempts > 1 else admission

    async def replace(self, sample: Sample, capacity: Capacity, chance: Chance) -> Admission:
        """See :class:`~memory.stores.base.SampleStore`."""
        return await self._patiently("redis", lambda: self._store.replace(sample, capacity, chance))

    async def draw(self, policy: Policy, start: int) -> list[Sample]:
        """See :class:`~memory.stores.base.SampleStore`."""
        return await self._patiently("redis", lambda: self._store.draw(policy, start))

    async def stats(self) -> MemoryStats:
        """See :class:`~memory.stores.base.SampleStore`."""
        return await self._patiently("redis", self._store.stats)

    async def offsets(self) -> dict[tuple[str, int], int]:
        """See :class:`~memory.stores.base.SampleStore`."""
        return await self._patiently("redis", self._store.offsets)

    async def clear(self) -> None:
        """See :class:`~memory.stores.base.SampleStore`."""
        await self._patiently("redis", self._store.clear)
