"""One process that recalls: its parts, and the order in which they start and stop."""

import asyncio
import logging
import random
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from pathlib import Path

from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry

from inference.loading import Versions
from inference.recall import Recaller
from inference.recall_log import RecallLog
from inference.recall_metrics import RecallMetrics
from inference.recall_settings import RecallerSettings
from inference.rollbacks import Rollbacks
from inference.sink import PATIENT
from schemas.errors import WeldstreamError
from schemas.topics import MODEL_RELEASES
from stream.acls import RECALLER, topics_to_ensure
from stream.broker import make_consumer
from stream.clients import Consumer
from stream.crash_points import CrashPoints
from stream.http import HttpServer, make_app
from stream.topics import ensure_topics
from stream.waiting import wait_at_most

_log = logging.getLogger(__name__)

_POLL_MS = 200
_LONGEST_WAIT_SECONDS = 60.0
_PAUSE_SECONDS = 2.0


class RecallerNode:
    """Follows roll-backs from its start until it is told to stop.

    It keeps no state: the registry says what was rolled back, and the topic
    of recalls what came of it so far. The announcements only wake it up. Of
    several such processes the consumer group lets one work; should two think
    that they are the one, the transactional id lets only the later publish.

    Parameters
    ----------
    settings : RecallerSettings
        All settings.
    metrics : CollectorRegistry
        Where metrics are registered.
    rng : random.Random
        Jitter of retries.
    clock : callable
        Returns the time, with a time zone.
    """

    def __init__(
        self,
        settings: RecallerSettings,
        metrics: CollectorRegistry,
        rng: random.Random,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._rng = rng
        self._clock = clock
        self._stopping = asyncio.Event()
        self._news = asyncio.Event()
        self._assigned = False
        self.metrics = RecallMetrics(metrics)
        self.http = HttpServer(make_app(metrics, self.why_not_ready), settings.http)
        self.metrics.ready.set_function(lambda: float(self.why_not_ready() is None))

    def why_not_ready(self) -> str | None:
        """Return None if roll-backs are followed here, else what is missing."""
        if self._stopping.is_set():
            return "the process is stopping"
        return None if self._assigned else "another process follows the roll-backs, or Kafka does not answer"

    def stop(self) -> None:
        """Let ``run`` return; what is under way goes on after the next start."""
        self._stopping.set()

    async def run(self) -> None:
        """Follow until stopped."""
        async with AsyncExitStack() as resources, asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(self.http.run())
            resources.callback(serving.cancel)
            following = tasks.create_task(self._follow())
            await self._stopping.wait()
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            self.http.stop()
            await serving

    async def _follow(self) -> None:
        kafka, group = self._settings.kafka, self._settings.recall.group_id
        await PATIENT.run(lambda: ensure_topics(kafka, topics_to_ensure(RECALLER, kafka)), rng=self._rng)
        consumer: Consumer = make_consumer(kafka, (MODEL_RELEASES,), group, client_id="weldstream-recaller")
        work: asyncio.Task[None] | None = None
        try:
            await PATIENT.run(consumer.start, rng=self._rng)
            while True:
                if await consumer.getmany(timeout_ms=_POLL_MS):
                    self._news.set()
                self._assigned = bool(consumer.assignment())
                if work is not None and (work.done() or not self._assigned):
                    await _end(work)
                    work = None
                if work is None and self._assigned:
                    work = asyncio.create_task(self._work(consumer))
        finally:
            if work is not None:
                await _end(work)
            await consumer.stop()

    async def _work(self, consumer: Consumer) -> None:
        kafka, recall = self._settings.kafka, self._settings.recall
        with tempfile.TemporaryDirectory(prefix="weldstream-") as cache:
            versions = Versions.of(self._settings.registry, Path(cache))
            crash = CrashPoints(self._settings.crash_at)
            rollbacks = Rollbacks(
                kafka,
                recall,
                versions.registry,
                Recaller(kafka, versions, self._clock),
                self.metrics,
                crash,
                self._clock,
            )
            while True:
                try:
                    async with RecallLog(
                        kafka,
                        recall.group_id,
                        "roll-backs",
                        self._clock,
                        requests=recall.request_review,
                        crash=crash,
                    ) as log:
                        await self._catch_up(consumer, rollbacks, log)
                except (KafkaError, WeldstreamError) as error:
                    reason = error.reason if isinstance(error, WeldstreamError) else "kafka"
                    self.metrics.failures.labels(reason).inc()
                    _log.warning("roll-backs cannot be followed now: %s", error)
                    await asyncio.sleep(_PAUSE_SECONDS)

    async def _catch_up(self, consumer: Consumer, rollbacks: Rollbacks, log: RecallLog) -> None:
        first = wait = self._settings.recall.rescan_seconds
        while True:
            self._news.clear()
            seen = {partition: await consumer.position(partition) for partition in consumer.assignment()}
            more = await rollbacks.catch_up(log)
            # Only shows what was followed: after a restart the registry is asked, not the offsets.
            await consumer.commit(seen)
            wait = min(2 * wait, _LONGEST_WAIT_SECONDS) if more else first
            await wait_at_most(self._news, wait if more else None)


async def _end(work: asyncio.Task[None]) -> None:
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work
