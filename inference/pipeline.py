"""The way of the frames: fetch and decode, compute, conclude and publish, each overlapped with the others."""

import asyncio
import logging
import random
from concurrent.futures import Executor
from dataclasses import dataclass

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from inference.jobs import FrameJob, Outcome, Rejected, compute
from inference.metrics import InferenceMetrics
from inference.partitions import Partitions
from inference.service import InferenceService
from inference.sink import PATIENT, Sink
from inference.slot import SessionSlot
from stream.clients import Consumer
from stream.records import InRecord

_log = logging.getLogger(__name__)

POLL_MS = 100
"""Longest wait for records; also how long a stop may have to wait for the fetch under way."""


@dataclass(slots=True)
class _Fetched:
    items: list[FrameJob | Rejected]
    offsets: dict[TopicPartition, int]


@dataclass(slots=True)
class _Computed:
    outcomes: list[Outcome]
    offsets: dict[TopicPartition, int]


class FramePipeline:
    """Judges the frames of the partitions that the group assigns to this process.

    Batches go through three stages in the order in which they were fetched,
    so a commit never passes a frame that is still on the way. A batch is what
    lies ready when the stage before has room: one frame when frames are few,
    up to ``max_batch`` when there is a backlog; nothing waits for company.

    Parameters
    ----------
    topic : str
        Full name of the frames topic.
    consumer : Consumer
        Not started and subscribed to nothing; started with the first model,
        so that nothing is fetched before it can be judged. Stopped here.
    slot : SessionSlot
        Who judges.
    service : InferenceService
        Reads frames and concludes results.
    sink : Sink
        Makes results durable and commits.
    partitions : Partitions
        Which partitions are ours.
    metrics : InferenceMetrics
        Gets lag and batch sizes.
    helpers, compute_thread : Executor
        Threads that decode and encode; the one thread that runs models.
    max_batch, max_run : int
        Most frames in a batch, and in one model run.
    rng : random.Random
        Jitter of the attempts to reach the brokers.
    """

    def __init__(
        self,
        *,
        topic: str,
        consumer: Consumer,
        slot: SessionSlot,
        service: InferenceService,
        sink: Sink,
        partitions: Partitions,
        metrics: InferenceMetrics,
        helpers: Executor,
        compute_thread: Executor,
        max_batch: int,
        max_run: int,
        rng: random.Random,
    ) -> None:
        self._topic = topic
        self._consumer = consumer
        self._slot = slot
        self._service = service
        self._sink = sink
        self._partitions = partitions
        self._metrics = metrics
        self._helpers = helpers
        self._compute_thread = compute_thread
        self._max_batch = max_batch
        self._max_run = max_run
        self._rng = rng
        self._stopping = asyncio.Event()
        self._fetched: asyncio.Queue[_Fetched | None] = asyncio.Queue(maxsize=1)
        self._computed: asyncio.Queue[_Computed | None] = asyncio.Queue()
        self._next: dict[TopicPartition, int] = {}

    async def run(self) -> None:
        """Judge until stopped; returns when all that was fetched is committed."""
        if not await self._first_model():
            return
        self._consumer.subscribe([self._topic], listener=self._partitions)
        try:
            await PATIENT.run(self._consumer.start, rng=self._rng)
            async with asyncio.TaskGroup() as stages:
                stages.create_task(self._fetch_stage())
                stages.create_task(self._compute_stage())
                stages.create_task(self._publish_stage())
        finally:
            await self._partitions.close()
            await self._partitions.abandon()
            await self._consumer.stop()

    async def stop(self) -> None:
        """Fetch no more; ``run`` returns once the frames on the way are committed."""
        self._stopping.set()
        await self._partitions.close()

    async def _first_model(self) -> bool:
        """Wait for a model or for the stop; tell whether there is a model."""
        waits = [asyncio.create_task(self._slot.filled()), asyncio.create_task(self._stopping.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return not self._stopping.is_set()

    async def _fetch_stage(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            records = await self._fetch(await self._partitions.room())
            if not records:
                continue
            reads = (loop.run_in_executor(self._helpers, self._service.read, record) for record in records)
            items = await asyncio.gather(*reads)
            # Records of a partition come in order, so the last one of each stays.
            offsets = {TopicPartition(r.topic, r.partition): r.offset + 1 for r in records}
            await self._fetched.put(_Fetched(list(items), offsets))
        await self._fetched.put(None)

    async def _fetch(self, room: int) -> list[InRecord]:
        """Take what lies ready, at most ``room`` records, and count them as on the way."""
        if room == 0:
            return []
        try:
            polled = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=min(room, self._max_batch))
        except KafkaError as error:
            if not error.retriable:
                raise
            _log.warning("frames cannot be fetched now: %s", error)
            await asyncio.sleep(POLL_MS / 1000)
            return []
        records: list[InRecord] = [record for part in polled.values() for record in part]
        self._partitions.add(len(records))
        self._report_lag(records)
        return records

    async def _compute_stage(self) -> None:
        loop = asyncio.get_running_loop()
        while (batch := await self._fetched.get()) is not None:
            welds = {item.decoded.frame.weld_id for item in batch.items if isinstance(item, FrameJob)}
            with self._slot.lease(welds) as serving_of:
                outcomes, sizes = await loop.run_in_executor(
                    self._compute_thread, compute, batch.items, serving_of, self._max_run
                )
            for size in sizes:
                self._metrics.batch_size.observe(size)
            await self._computed.put(_Computed(outcomes, batch.offsets))
        await self._computed.put(None)

    async def _publish_stage(self) -> None:
        loop = asyncio.get_running_loop()
        while (batch := await self._computed.get()) is not None:
            records = await loop.run_in_executor(self._helpers, self._service.conclude, batch.outcomes)
            await self._sink.publish(records, batch.offsets)
            await self._partitions.remove(len(batch.outcomes))

    def _report_lag(self, records: list[InRecord]) -> None:
        for record in records:
            self._next[TopicPartition(record.topic, record.partition)] = record.offset + 1
        lag = 0
        for partition in self._partitions.assigned:
            end = self._consumer.highwater(partition)
            if end is not None and partition in self._next:
                lag += max(0, end - self._next[partition])
        self._metrics.lag.set(lag)
