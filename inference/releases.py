"""Follows the announcements of released models; the newest that is trusted and loads is served."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from inference.installer import ModelInstaller
from inference.metrics import InferenceMetrics
from memory.signing import Verifier, describe
from schemas.errors import BadRecordError, WeldstreamError
from schemas.events import ModelReleased
from schemas.topics import MODEL_RELEASES
from stream.clients import Consumer
from stream.codec import decode_event
from stream.records import InRecord
from stream.retry import RetryPolicy

_log = logging.getLogger(__name__)

POLL_MS = 200


class StaleReleaseError(WeldstreamError):
    """An announcement is older than what serves: somebody sent it again."""

    reason = "stale_release"


class ReleaseFollower:
    """Reads all announcements from the beginning, without a group, and installs the newest.

    Announcements wait here until they are installed, refused, or overtaken.
    One that fails for good becomes a dead letter, and the next newest is
    tried; one that fails because a service is away is tried again, unless a
    newer one arrives. A version counts as taken only after the swap.

    One that no trusted key has signed, or that is older than what serves,
    becomes a dead letter as well; what serves goes on serving. What was
    announced before this process began to follow is history, not a replay.

    Parameters
    ----------
    consumer : Consumer
        On the releases topic, without a group, started.
    model_name : str
        The model line to follow.
    installer : ModelInstaller
        Lets a version serve.
    verifier : Verifier or None
        Whose announcements are taken; None takes all.
    refuse : callable
        Awaited with the record and the error of an announcement that is not taken.
    metrics : InferenceMetrics
        Counts refusals.
    retry : RetryPolicy
        Waits between attempts.
    rng : random.Random
        Their jitter.
    """

    def __init__(
        self,
        *,
        consumer: Consumer,
        model_name: str,
        installer: ModelInstaller,
        verifier: Verifier | None,
        refuse: Callable[[InRecord, WeldstreamError], Awaitable[None]],
        metrics: InferenceMetrics,
        retry: RetryPolicy,
        rng: random.Random,
    ) -> None:
        self._consumer = consumer
        self._model_name = model_name
        self._installer = installer
        self._verifier = verifier
        self._refuse_record = refuse
        self._metrics = metrics
        self._retry = retry
        self._rng = rng
        self._history: Mapping[TopicPartition, int] = {}
        self._taken = 0
        self._waiting: dict[int, tuple[InRecord | None, ModelReleased]] = {}
        self._delays = retry.delays(rng)
        self._not_before = 0.0

    @property
    def taken(self) -> int:
        """Sequence number of the announcement that serves, 0 before the first."""
        return self._taken

    def offer(self, release: ModelReleased) -> None:
        """Let a verified announcement of the registry wait with those of the topic."""
        self._wait_with(None, release)

    async def run(self) -> None:
        """Follow until cancelled."""
        self._history = await self._retry.run(
            lambda: self._consumer.end_offsets(sorted(self._consumer.assignment())), rng=self._rng
        )
        while True:
            await self._collect()
            if self._waiting and time.monotonic() >= self._not_before:
                await self._try_newest()

    async def _collect(self) -> None:
        """Take in what was announced, up to the end of the topic, so that only the newest is loaded."""
        # With candidates waiting, a poll only looks; without, it waits for news.
        pause = max(0.0, self._not_before - time.monotonic()) if self._waiting else POLL_MS / 1000
        timeout_ms = min(POLL_MS, int(pause * 1000))
        while True:
            try:
                polled = await self._consumer.getmany(timeout_ms=timeout_ms)
            except KafkaError as error:
                if not error.retriable:
                    raise
                _log.warning("releases cannot be read now: %s", error)
                await asyncio.sleep(POLL_MS / 1000)
                return
            for records in polled.values():
                for record in records:
                    await self._read(record)
            if not polled or not await self._is_behind():
                return
            timeout_ms = POLL_MS

    async def _is_behind(self) -> bool:
        for partition in self._consumer.assignment():
            end = self._consumer.highwater(partition)
            if end is not None and await self._consumer.position(partition) < end:
                return True
        return False

    async def _read(self, record: InRecord) -> None:
        if record.value is None:
            return  # A tombstone removes an announcement from the compacted topic; what serves goes on serving.
        try:
            release = decode_event(record, MODEL_RELEASES, ModelReleased)
        except BadRecordError as error:
            await self._refuse(record, error)
            return
        if release.version.model.name != self._model_name:
            return
        try:
            if self._verifier is not None:
                self._verifier.check(release)
            if release.sequence < self._taken and not self._is_history(record):
                raise StaleReleaseError(f"{describe(release)} comes after announcement {self._taken}, which serves")
        except WeldstreamError as error:
            await self._refuse(record, error)
            return
        if release.sequence <= self._taken:
            _log.info("announcement %d is not newer than %d", release.sequence, self._taken)
            return
        self._wait_with(record, release)

    def _is_history(self, record: InRecord) -> bool:
        return record.offset < self._history.get(TopicPartition(record.topic, record.partition), 0)

    def _wait_with(self, record: InRecord | None, release: ModelReleased) -> None:
        if not self._waiting or release.sequence > max(self._waiting):
            # News need not wait for the backoff of what it overtakes.
            self._not_before = 0.0
            self._delays = self._retry.delays(self._rng)
        self._waiting[release.sequence] = (record, release)

    async def _try_newest(self) -> None:
        sequence = max(self._waiting)
        record, release = self._waiting[sequence]
        try:
            await self._installer.install(release.version, release.announced_at)
        except WeldstreamError as error:
            delay = next(self._delays, None) if error.retriable else None
            if delay is None:
                del self._waiting[sequence]
                await self._refuse(record, error)
            else:
                self._metrics.retries.labels("release").inc()
                self._not_before = time.monotonic() + delay
                _log.warning("v%d cannot be fetched now: %s", release.version.model.version, error)
            return
        self._taken = sequence
        self._waiting = {s: waiting for s, waiting in self._waiting.items() if s > sequence}

    def count_refusal(self, error: WeldstreamError) -> None:
        """Say and count that an announcement is not taken."""
        _log.error("a release is refused: %s", error)
        self._metrics.releases_refused.labels(error.reason).inc()

    async def _refuse(self, record: InRecord | None, error: WeldstreamError) -> None:
        self.count_refusal(error)
        if record is not None:  # what the registry holds stays there to be looked at
            await self._refuse_record(record, error)
