"""The way of the frames: fetch and decode, compute, conclude and publish, each overlapped with the others."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import TopicPartition

from inference.jobs import FrameJob, Outcome, Rejected, compute
from inference.metrics import InferenceMetrics
from inference.ownership import Owned, Ownership
from inference.partitions import Partitions
from inference.service import InferenceService
from inference.sink import PATIENT, Sink
from inference.slot import SessionSlot
from inference.welds import OpenWeld
from stream.clients import Consumer
from stream.crash_points import CrashPoints
from stream.records import InRecord, OutRecord

_log = logging.getLogger(__name__)

POLL_MS = 100
"""Longest wait for records; also how long a stop may have to wait for the fetch under way."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What a batch has of a partition, and the offset after it."""

    owned: Owned
    upto: int


@dataclass(slots=True)
class _Fetched:
    items: list[FrameJob | Rejected]
    parts: list[_Part]


@dataclass(slots=True)
class _Computed:
    outcomes: list[Outcome]
    parts: list[_Part]
    welds: dict[tuple[int, str], OpenWeld]


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
        Makes results durable together with the offsets.
    ownership : Ownership
        Says which partitions this process answers for.
    partitions : Partitions
        Which partitions are ours.
    metrics : InferenceMetrics
        Gets lag and batch sizes.
    helpers, compute_thread : Executor
        Threads that decode and encode; the one thread that runs models.
    max_batch, max_run : int
        Most frames in a batch, and in one model run.
    crash : CrashPoints
        Places: fetched, computed, concluded.
    immediate : bool
        Whether a swap takes effect for welds in progress too.
    rng : random.Random
        Jitter of the attempts to reach the brokers.
    monotonic : callable
        Returns seconds.
    """

    def __init__(
        self,
        *,
        topic: str,
        consumer: Consumer,
        slot: SessionSlot,
        service: InferenceService,
        sink: Sink,
        ownership: Ownership,
        partitions: Partitions,
        metrics: InferenceMetrics,
        helpers: Executor,
        compute_thread: Executor,
        max_batch: int,
        max_run: int,
        crash: CrashPoints,
        immediate: bool,
        rng: random.Random,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topic = topic
        self._consumer = consumer
        self._slot = slot
        self._service = service
        self._sink = sink
        self._ownership = ownership
        self._partitions = partitions
        self._metrics = metrics
        self._helpers = helpers
        self._compute_thread = compute_thread
        self._max_batch = max_batch
        self._max_run = max_run
        self._crash = crash
        self._immediate = immediate
        self._rng = rng
        self._monotonic = monotonic
        self._stopping = asyncio.Event()
        self._fetched: asyncio.Queue[_Fetched | None] = asyncio.Queue(maxsize=1)
        self._computed: asyncio.Queue[_Computed | None] = asyncio.Queue()
        self._next: dict[TopicPartition, int] = {}

    async def run(self) -> None:
        """Judge until stopped; returns when all that was fetched is committed."""
        if not await self._first_model():
            await self._consumer.stop()
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
            await self._ownership.close()
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
            records, parts = await self._fetch(await self._partitions.room())
            if not records:
                continue
            self._crash.reach("fetched")
            reads = (loop.run_in_executor(self._helpers, self._service.read, record) for record in records)
            await self._fetched.put(_Fetched(list(await asyncio.gather(*reads)), parts))
        await self._fetched.put(None)

    async def _fetch(self, room: int) -> tuple[list[InRecord], list[_Part]]:
        """Take what lies ready, at most ``room`` records, and count them as on the way."""
        if room == 0:
            return [], []
        before = self._ownership.current()
        try:
            polled = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=min(room, self._max_batch))
        except KafkaError as error:
            if not error.retriable:
                raise
            _log.warning("frames cannot be fetched now: %s", error)
            await asyncio.sleep(POLL_MS / 1000)
            return [], []
        # Counted before anything is awaited, so that no revocation comes between.
        fetched = sum(map(len, polled.values()))
        self._partitions.add(fetched)
        records: list[InRecord] = []
        parts: list[_Part] = []
        for partition, found in polled.items():
            owned = await PATIENT.run(partial(self._ownership.acquire, partition), rng=self._rng)
            if before.get(partition) is not owned:
                # Taken over since these were asked for: what the owner before committed is known only now.
                await self._rewind(owned)
                continue
            records += found
            parts.append(_Part(owned, found[-1].offset + 1))
        if len(records) < fetched:
            await self._partitions.remove(fetched - len(records))
        self._report_lag(records)
        return records, parts

    async def _rewind(self, owned: Owned) -> None:
        """Fetch a partition again from the first frame that is not answered."""
        try:
            if owned.next is None:
                await self._consumer.seek_to_beginning(owned.partition)
            else:
                self._consumer.seek(owned.partition, owned.next)
        except IllegalStateError:
            _log.info("%s[%d] is no longer ours", *owned.partition)

    async def _compute_stage(self) -> None:
        loop = asyncio.get_running_loop()
        while (batch := await self._fetched.get()) is not None:
            welds = self._enter(batch)
            with self._slot.lease(weld.model_version for weld in welds.values()) as live:
                serving_of = {key: live[weld.model_version] for key, weld in welds.items()}
                outcomes, sizes = await loop.run_in_executor(
                    self._compute_thread, compute, batch.items, serving_of, self._max_run
                )
            self._crash.reach("computed")
            for size in sizes:
                self._metrics.batch_size.observe(size)
            await self._computed.put(_Computed(outcomes, batch.parts, welds))
        await self._computed.put(None)

    def _enter(self, batch: _Fetched) -> dict[tuple[int, str], OpenWeld]:
        """Return the weld of each frame; a weld that is not in progress begins here, on the newest version."""
        assert self._slot.current is not None
        newest, now = self._slot.current.version.model.version, self._monotonic()
        owners = {part.owned.partition.partition: part.owned for part in batch.parts}
        welds: dict[tuple[int, str], OpenWeld] = {}
        for item in batch.items:
            if isinstance(item, FrameJob):
                frame, owned = item.decoded.frame, owners[item.record.partition]
                weld = owned.book.enter(frame.weld_id, frame.frame_id, newest, now)
                if self._immediate or owned.lost:
                    # Nothing keeps the versions of a lost partition in memory, and nothing of it is published.
                    weld.model_version = newest
                welds[item.weld] = weld
        for weld in welds.values():
            weld.under_way += 1
        return welds

    async def _publish_stage(self) -> None:
        loop = asyncio.get_running_loop()
        while (batch := await self._computed.get()) is not None:
            outputs = await loop.run_in_executor(self._helpers, self._service.conclude, batch.outcomes, batch.welds)
            self._crash.reach("concluded")
            await asyncio.gather(*(self._publish(part, outputs) for part in batch.parts))
            for weld in batch.welds.values():
                weld.under_way -= 1
            await self._partitions.remove(len(batch.outcomes))

    async def _publish(self, part: _Part, outputs: Mapping[int, Sequence[OutRecord]]) -> None:
        owned, own = part.owned, outputs.get(part.owned.partition.partition, ())
        ended = self._service.ended(owned.book, owned.partition.partition)
        if await self._sink.publish(owned, [*ended, *own], part.upto):
            return
        if owned.partition in self._partitions.assigned:
            # Still assigned to us: its frames are to come again, upon which it is taken over anew.
            await self._rewind(owned)

    def _report_lag(self, records: list[InRecord]) -> None:
        for record in records:
            self._next[TopicPartition(record.topic, record.partition)] = record.offset + 1
        lag = 0
        for partition in self._partitions.assigned:
            end = self._consumer.highwater(partition)
            if end is not None and partition in self._next:
                lag += max(0, end - self._next[partition])
        self._metrics.lag.set(lag)
