"""One learner process: its parts, and the order in which they start and stop."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime
from typing import Protocol, TypeVar

import numpy as np
import torch
from aiokafka import AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from learner.books import Books
from learner.checkpoint import Checkpoint, CheckpointStore
from learner.golden import GoldenSet
from learner.holdout import HoldoutRule, ValidationSet
from learner.intake import Intake
from learner.labels import LabelReader, Prequential, claim_checks
from learner.learning import Learning, load_weights
from learner.rebuild import rebuild_memory
from learner.releaser import Releaser, announcement
from learner.rollback import RollbackWatch
from learner.served import Served
from learner.service import LearnerService, fallback
from learner.settings import LearnerSettings
from learner.stores import Memories, open_memories
from learner.telemetry import LearnerMetrics
from learner.trainer import Trainer
from learner.trainers import make_trainer
from memory.artifacts import ArtifactStore
from memory.files import AtomicFiles
from memory.registry import ModelRegistry
from memory.samples import Sample
from memory.stores.base import Admission
from schemas.errors import WeldstreamError
from schemas.events import ModelReleased
from schemas.topics import LABELS
from stream.acls import LEARNER, topics_to_ensure
from stream.broker import make_consumer, make_producer, send_and_wait
from stream.clients import Consumer
from stream.codec import FrameLimits
from stream.crash_points import CrashPoints
from stream.dead_letters import dead_letter
from stream.http import HttpServer, make_app
from stream.records import InRecord
from stream.retry import RetryPolicy
from stream.topics import ensure_topics

_log = logging.getLogger(__name__)

T = TypeVar("T")
PATIENT = RetryPolicy(attempts=1_000_000)
"""For work that must not be given up while a service is away."""

REDIS_ERRORS = (RedisConnectionError, RedisTimeoutError)
_POLL_MS = 200
_MOST_RECORDS = 64


class LearnerNode:
    """Learns labels from its start until it is told to stop.

    Parameters
    ----------
    settings : LearnerSettings
        All settings.
    registry : CollectorRegistry
        Where metrics are registered.
    rng : random.Random
        Jitter of retries.
    clock : callable
        Returns the time, with a time zone.
    """

    def __init__(
        self,
        settings: LearnerSettings,
        registry: CollectorRegistry,
        rng: random.Random,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._rng = rng
        self._clock = clock
        self.metrics = LearnerMetrics(registry)
        self.books = Books(settings.kafka.topic(LABELS), settings.intake.known_labels)
        self._stopping = asyncio.Event()
        self._assigned = False
        self.http = HttpServer(make_app(registry, self.why_not_ready), settings.http)
        self.metrics.ready.set_function(lambda: float(self.why_not_ready() is None))

    def why_not_ready(self) -> str | None:
        """Return None if labels are read, else what is missing."""
        if self._stopping.is_set():
            return "the process is stopping"
        if not self._assigned:
            return "no partitions are assigned"
        return None

    def stop(self) -> None:
        """Finish the step under way, write a checkpoint, and let ``run`` return."""
        self._stopping.set()

    async def run(self) -> None:
        """Learn until stopped.

        Raises
        ------
        ExceptionGroup
            If any part fails; a restart continues from the last checkpoint.
        """
        async with AsyncExitStack() as resources, asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(self.http.run())
            resources.callback(serving.cancel)
            connecting = tasks.create_task(self._connect(resources))
            stopping = tasks.create_task(self._stopping.wait())
            resources.callback(stopping.cancel)
            await asyncio.wait({connecting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if connecting.done():
                await self._learn(connecting.result(), resources)
            else:
                connecting.cancel()
            stopping.cancel()
            self.http.stop()
            await serving

    async def rebuild(self) -> None:
        """Forget the memory and read it anew from the labels topic, without training."""
        async with AsyncExitStack() as resources:
            resources.callback(self.http.close)
            await self._connect(resources)
            memories = await open_memories(self._settings, resources, self._memory_rng())
            admitted = await rebuild_memory(
                self._settings, memories, self._reader(), HoldoutRule(self._settings.holdout), self._clock
            )
            _log.info("memory rebuilt from %d labels", admitted)

    async def _connect(self, resources: AsyncExitStack) -> AIOKafkaProducer:
        kafka = self._settings.kafka
        producer = make_producer(kafka, client_id="weldstream-learner")
        resources.push_async_callback(producer.stop)
        await self._patiently("kafka", lambda: ensure_topics(kafka, topics_to_ensure(LEARNER, kafka)))
        await self._patiently("kafka", producer.start)
        return producer

    async def _learn(self, producer: AIOKafkaProducer, resources: AsyncExitStack) -> None:
        settings = self._settings
        executor = resources.enter_context(ThreadPoolExecutor(1, "learn"))
        memories = await open_memories(settings, resources, self._memory_rng())
        consumer: Consumer = make_consumer(
            settings.kafka, group_id=settings.intake.group_id, client_id="weldstream-learner"
        )

        async def announce(released: ModelReleased) -> None:
            record = announcement(settings, released, self._clock)
            await self._patiently("announce", lambda: send_and_wait(producer, record))

        async def refuse(record: InRecord, error: WeldstreamError) -> None:
            self.metrics.dead_letters.labels(error.reason).inc()
            letter = dead_letter(record, error, 1, settings.kafka, clock=self._clock)
            await self._patiently("dead_letter", lambda: send_and_wait(producer, letter))

        async def commit(offsets: Mapping[int, int]) -> None:
            topic = settings.kafka.topic(LABELS)
            try:
                await consumer.commit({TopicPartition(topic, p): o for p, o in offsets.items()})
            except KafkaError as error:
                # Shows the lag and decides nothing: the checkpoint is what a restart reads.
                _log.warning("offsets were not committed: %s", error)

        service, intake = await self._service(memories, executor, announce=announce, refuse=refuse, commit=commit)
        topic = settings.kafka.topic(LABELS)
        consumer.subscribe([topic], listener=_Seek(consumer, self.books, self._set_assigned))
        await self._patiently("kafka", consumer.start)
        try:
            async with asyncio.TaskGroup() as tasks:
                learning = tasks.create_task(service.run())
                reading = tasks.create_task(self._read(consumer, intake))
                stop = asyncio.create_task(self._stopping.wait())
                await asyncio.wait({learning, reading, stop}, return_when=asyncio.FIRST_COMPLETED)
                stop.cancel()
                self._stopping.set()
                service.stop()
        finally:
            await consumer.stop()

    async def _read(self, consumer: Consumer, intake: Intake) -> None:
        paused = False
        while not self._stopping.is_set():
            full = len(self.books.pending) >= self._settings.intake.max_pending
            if full and not paused:
                consumer.pause(*consumer.assignment())
            elif paused and not full:
                consumer.resume(*consumer.assignment())
            paused = full
            batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_MOST_RECORDS)
            for partition, records in batches.items():
                for record in records:
                    await intake.take(record)
                end = consumer.highwater(partition)
                if end is not None:
                    self.metrics.lag.set(end - (self.books.progress.position(partition.partition) or 0))

    async def _service(
        self,
        memories: Memories,
        executor: ThreadPoolExecutor,
        *,
        announce: Callable[[ModelReleased], Awaitable[None]],
        refuse: Callable[[InRecord, WeldstreamError], Awaitable[None]],
        commit: Callable[[Mapping[int, int]], Awaitable[None]],
    ) -> tuple[LearnerService, Intake]:
        """Put the parts together and continue where the last checkpoint stands."""
        settings = self._settings
        await asyncio.to_thread(torch.set_num_threads, settings.training.threads)
        uri, options, name = settings.registry.uri, settings.registry.options, settings.registry.model_name
        artifacts = ArtifactStore(uri, options, cache_dir=settings.checkpoint.folder / "cache")
        registry = ModelRegistry(uri, name, options, self._clock)
        checkpoints = CheckpointStore(settings.checkpoint.folder / "checkpoints", settings.checkpoint.keep)
        releaser = Releaser(settings, artifacts, registry)
        served = Served(settings, registry, releaser)
        watch = RollbackWatch(settings.release.rollback_window, settings.release.rollback_margin)
        trainer = await asyncio.to_thread(make_trainer, settings)

        checkpoint = await asyncio.to_thread(checkpoints.load_latest)
        serving = await self._patiently("registry", lambda: asyncio.to_thread(registry.serving))
        if serving is not None:
            await asyncio.to_thread(served.take, serving.version)
            watch.serves(serving.version.model.version, fallback(serving))
            self.metrics.model_version.set(serving.version.model.version)
        domains = self._resume(checkpoint, memories, trainer)
        if checkpoint is None and serving is not None:
            load_weights(trainer, await asyncio.to_thread(releaser.tensors, serving.version))
            self.books.begin_with(serving.version)
        if serving is not None:
            # The process may have died between recording and announcing; a repetition is ignored by its sequence.
            await announce(serving)
        validation = ValidationSet(memories.validation)
        await self._patiently("redis", validation.load)
        if checkpoint is None:
            stats = await self._patiently("redis", memories.episodic.stats)
            domains = tuple(stats.domains)
        cursor = await self._patiently("redis", memories.episodic.offsets)
        learning = Learning(
            trainer,
            lambda policy: self._patiently("redis", lambda: memories.episodic.draw(policy)),
            settings.training,
            executor,
            self.metrics,
            domains=domains,
        )
        reader = self._reader()
        crash = CrashPoints(settings.crash_at)
        intake = Intake(
            read=lambda record: self._patiently("read", lambda: asyncio.to_thread(reader.read, record, self._clock())),
            books=self.books,
            holdout=HoldoutRule(settings.holdout),
            validation=validation,
            admit=lambda sample: self._admit(memories, sample),
            refuse=refuse,
            prequential=Prequential(len(settings.classes)),
            watch=watch,
            cursor=cursor,
            metrics=self.metrics,
            crash=crash,
        )
        service = LearnerService(
            settings=settings,
            learning=learning,
            books=self.books,
            intake=intake,
            memory=memories.episodic,
            validation=validation,
            served=served,
            watch=watch,
            releaser=releaser,
            registry=registry,
            golden=GoldenSet(uri, options, name, artifacts),
            checkpoints=checkpoints,
            announce=announce,
            commit=commit,
            executor=executor,
            metrics=self.metrics,
            clock=self._clock,
            crash=crash,
        )
        return service, intake

    async def _admit(self, memories: Memories, sample: Sample) -> Admission:
        attempts = 0

        async def attempt() -> Admission:
            nonlocal attempts
            attempts += 1
            return await memories.episodic.admit(sample)

        admission = await self._patiently("redis", attempt)
        # After a lost answer the memory may know the label from our own first attempt.
        return replace(admission, duplicate=False) if attempts > 1 else admission

    def _resume(self, checkpoint: Checkpoint | None, memories: Memories, trainer: Trainer) -> tuple[str, ...]:
        if checkpoint is None:
            return ()
        trainer.restore(checkpoint.state)
        self.books.restore(checkpoint.position, checkpoint.extra)
        memories.episodic.restore_rng(checkpoint.extra["memory_rng"])
        _log.info("continuing from %d labels learned", self.books.learned)
        return tuple(checkpoint.extra["domains"])

    def _reader(self) -> LabelReader:
        settings = self._settings
        limits = FrameLimits(max_bytes=settings.intake.max_frame_bytes, max_pixels=settings.intake.max_frame_pixels)
        return LabelReader(
            limits, settings.classes, claim_checks(AtomicFiles(settings.registry.uri, settings.registry.options))
        )

    def _memory_rng(self) -> np.random.Generator:
        return np.random.default_rng(self._settings.seed + 1)

    def _set_assigned(self, *, assigned: bool) -> None:
        self._assigned = assigned

    async def _patiently(self, step: str, attempt: Callable[[], Awaitable[T]]) -> T:
        def report(number: int, error: BaseException) -> None:
            self.metrics.retries.labels(step).inc()
            _log.warning("attempt %d of %s failed, trying again: %s", number, step, error)

        return await PATIENT.run(attempt, rng=self._rng, also=REDIS_ERRORS, on_retry=report)


class _SetAssigned(Protocol):
    def __call__(self, *, assigned: bool) -> None: ...


class _Seek(ConsumerRebalanceListener):
    """Reads on from our own books, whatever the group has committed."""

    def __init__(self, consumer: Consumer, books: Books, assigned: "_SetAssigned") -> None:
        self._consumer = consumer
        self._books = books
        self._assigned = assigned

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:  # noqa: ARG002
        self._assigned(assigned=False)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        for partition in assigned:
            position = self._books.progress.position(partition.partition)
            if position is None:
                await self._consumer.seek_to_beginning(partition)
            else:
                self._consumer.seek(partition, position)
        self._assigned(assigned=bool(assigned))
