"""One inference process: its parts, and the order in which they start and stop."""

import asyncio
import logging
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.structs import TopicPartition
from prometheus_client import CollectorRegistry

from inference.alerts import AlertRule
from inference.installer import ModelInstaller
from inference.metrics import InferenceMetrics
from inference.models import revive_models, serve_models
from inference.outputs import Outputs
from inference.ownership import Ownership
from inference.partitions import Partitions
from inference.pipeline import FramePipeline
from inference.service import InferenceService
from inference.session import SessionLoader
from inference.settings import InferenceSettings
from inference.sink import PATIENT, TransactionalSink
from inference.slot import SessionSlot
from inference.welds import WeldBook
from memory.artifacts import ArtifactStore
from memory.key_files import verifier_of
from memory.registry import ModelRegistry
from schemas.errors import WeldstreamError
from schemas.topics import FRAMES, MIB
from stream.acls import inference_role, topics_to_ensure
from stream.broker import make_consumer, make_producer, send_and_wait
from stream.clients import Consumer
from stream.codec import FrameLimits
from stream.crash_points import CrashPoints
from stream.http import HttpServer, make_app
from stream.loop_probe import LoopProbe
from stream.records import InRecord
from stream.topics import ensure_topics

_log = logging.getLogger(__name__)

FETCH_BYTES = MIB
"""Of a partition's frames at a time: with a backlog it is what lies in memory, and what the others wait for."""


class DrainTimeoutError(WeldstreamError):
    """The frames on the way could not be finished in time; they are judged again after the next start."""

    reason = "drain_timeout"


class InferenceNode:
    """Judges frames from its start until it is told to stop.

    Parameters
    ----------
    settings : InferenceSettings
        All settings.
    registry : CollectorRegistry
        Where metrics are registered.
    rng : random.Random
        Jitter of retries.
    clock : callable
        Returns the time, with a time zone.

    Raises
    ------
    KeyFileError
        If releases must be signed and no key is trusted.
    """

    def __init__(
        self,
        settings: InferenceSettings,
        registry: CollectorRegistry,
        rng: random.Random,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._rng = rng
        self._verifier = verifier_of(settings.registry)
        self.metrics = InferenceMetrics(registry)
        self._books: Callable[[], list[WeldBook]] = list
        self.partitions = Partitions(self.metrics, settings.serving.max_in_flight, self._release)
        self.slot = SessionSlot(settings.serving.max_live_models, self._versions_needed, self.partitions.pause)
        self._outputs = Outputs(
            settings.kafka, settings.serving.output_suffix, settings.serving.role == "champion", clock
        )
        self._clock = clock
        self._ownership: Ownership | None = None
        self._stopping = asyncio.Event()
        self.http = HttpServer(make_app(registry, self.why_not_ready), settings.http)
        self.metrics.ready.set_function(lambda: float(self.why_not_ready() is None))

    def why_not_ready(self) -> str | None:
        """Return None if frames are judged, else what is missing."""
        if self._stopping.is_set():
            return "the process is stopping"
        if self.slot.current is None:
            return "no model is loaded yet"
        if not self.partitions.assigned:
            return "no partitions are assigned"
        return None

    def stop(self) -> None:
        """Fetch no more, finish the frames on the way, and let ``run`` return."""
        self._stopping.set()

    async def run(self) -> None:
        """Judge until stopped.

        Raises
        ------
        ExceptionGroup
            If any part fails; the frames on the way are then judged again after the next start.
        """
        async with AsyncExitStack() as resources, asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(self.http.run())
            resources.callback(serving.cancel)
            producer = make_producer(self._settings.kafka, client_id="weldstream-inference")
            resources.push_async_callback(producer.stop)
            if await self._unless_stopped(self._connect(producer)):
                await self._judge(producer, tasks)
            self.http.stop()
            await serving

    async def _judge(self, producer: AIOKafkaProducer, tasks: asyncio.TaskGroup) -> None:
        with (
            ThreadPoolExecutor(self._settings.serving.helper_threads, "helper") as helpers,
            ThreadPoolExecutor(1, "compute") as compute,
            tempfile.TemporaryDirectory(prefix="weldstream-") as folder,
        ):
            installer, registry = self._installer(self._settings.serving.cache_dir or Path(folder))
            pipeline = self._pipeline(installer, registry, helpers, compute)
            background = [
                tasks.create_task(self._drain_when_stopped(pipeline)),
                tasks.create_task(self._serve_models(producer, installer, registry)),
                tasks.create_task(self._end_welds()),
                tasks.create_task(self._probe(installer).run()),
            ]
            try:
                await pipeline.run()
            finally:
                for task in background:
                    task.cancel()
                await asyncio.gather(*background, return_exceptions=True)

    async def _connect(self, producer: AIOKafkaProducer) -> None:
        kafka, serving = self._settings.kafka, self._settings.serving
        topics = topics_to_ensure(inference_role(group=serving.group, suffix=serving.output_suffix), kafka)
        await PATIENT.run(lambda: ensure_topics(kafka, topics), rng=self._rng, on_retry=_report)
        await PATIENT.run(producer.start, rng=self._rng, on_retry=_report)

    async def _unless_stopped(self, work: Awaitable[None]) -> bool:
        """Await work, or give it up when the process is to stop; tell whether it was done."""
        working = asyncio.ensure_future(work)
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if not working.done():
                working.cancel()
        if working.done():
            working.result()
            return True
        await asyncio.gather(working, return_exceptions=True)
        return False

    async def _drain_when_stopped(self, pipeline: FramePipeline) -> None:
        await self._stopping.wait()
        await pipeline.stop()
        seconds = self._settings.serving.drain_seconds
        await asyncio.sleep(seconds)
        raise DrainTimeoutError(f"{self.partitions.in_flight} frames are still on the way after {seconds:g} s")

    async def _serve_models(
        self, producer: AIOKafkaProducer, installer: ModelInstaller, registry: ModelRegistry
    ) -> None:
        async def refuse(record: InRecord, error: WeldstreamError) -> None:
            self.metrics.dead_letters.labels(error.reason).inc()
            letter = self._outputs.dead_letter(record, error)
            await PATIENT.run(lambda: send_and_wait(producer, letter), rng=self._rng, on_retry=_report)

        await serve_models(
            self._settings,
            installer,
            registry,
            self._verifier,
            refuse=refuse,
            metrics=self.metrics,
            rng=self._rng,
        )

    def _installer(self, cache: Path) -> tuple[ModelInstaller, ModelRegistry]:
        serving, settings = self._settings.serving, self._settings.registry
        loader = SessionLoader(serving.intra_op_threads, (serving.warmup_rows, serving.warmup_columns))
        artifacts = ArtifactStore(settings.uri, settings.options, cache_dir=cache)
        installer = ModelInstaller(artifacts, loader, self.slot, self._settings.classes, self.metrics)
        registry = ModelRegistry(settings.uri, settings.model_name, settings.options, verifier=self._verifier)
        return installer, registry

    def _probe(self, installer: ModelInstaller) -> LoopProbe:
        stalls = {busy: self.metrics.loop_stall.labels(name) for busy, name in ((True, "swap"), (False, "serving"))}
        return LoopProbe(
            lambda seconds, busy: stalls[busy].observe(seconds),
            lambda: installer.busy,
            interval_seconds=self._settings.serving.loop_probe_seconds,
        )

    def _versions_needed(self) -> set[int]:
        if self._settings.serving.swap == "immediate":
            return set()
        return {version for book in self._books() for version in book.versions()}

    async def _end_welds(self) -> None:
        idle = self._settings.serving.weld_idle_seconds
        while True:
            await asyncio.sleep(min(1.0, idle / 4))
            for book in self._books():
                book.close_idle(time.monotonic() - idle)
            self.metrics.welds.set(sum(map(len, self._books())))
            self.slot.tidy()
            self.metrics.live_models.set(len(self.slot.live))

    async def _release(self, partitions: Collection[TopicPartition]) -> None:
        if self._ownership is not None:
            await self._ownership.release(partitions)

    def _pipeline(
        self,
        installer: ModelInstaller,
        registry: ModelRegistry,
        helpers: ThreadPoolExecutor,
        compute: ThreadPoolExecutor,
    ) -> FramePipeline:
        settings, group = self._settings, self._settings.serving.group
        consumer: Consumer = make_consumer(
            settings.kafka,
            group_id=group,
            client_id="weldstream-inference",
            max_partition_fetch_bytes=FETCH_BYTES,
        )
        ownership = self._ownership = Ownership(
            settings.kafka,
            group,
            self._outputs.weld_states,
            committed=consumer.committed,
            revive=lambda book: revive_models(book, installer, registry, self.metrics, self._rng),
            monotonic=time.monotonic,
        )
        self._books = lambda: ownership.books
        crash = CrashPoints(settings.crash_at)
        service = InferenceService(
            classes=settings.classes,
            limits=FrameLimits(
                max_bytes=settings.serving.max_frame_bytes, max_pixels=settings.serving.max_frame_pixels
            ),
            flagging_settings=settings.flagging,
            alert_rule=AlertRule(settings.alerts),
            outputs=self._outputs,
            metrics=self.metrics,
            clock=self._clock,
        )
        return FramePipeline(
            topic=settings.kafka.topic(FRAMES),
            consumer=consumer,
            slot=self.slot,
            service=service,
            sink=TransactionalSink(group, ownership, self.metrics, self._rng, crash=crash),
            crash=crash,
            ownership=ownership,
            immediate=settings.serving.swap == "immediate",
            partitions=self.partitions,
            metrics=self.metrics,
            helpers=helpers,
            compute_thread=compute,
            max_batch=settings.serving.max_batch,
            max_run=settings.serving.max_run,
            rng=self._rng,
        )


def _report(attempt: int, error: BaseException) -> None:
    _log.warning("Kafka does not answer (attempt %d): %s", attempt, error)
