"""What the serving benchmarks stand on: the local stack, models to swap, frames to judge, judgements to read."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from memory.key_files import read_signer
from memory.registry import ModelRegistry
from schemas import Judgement, ModelReleased, ReleaseKind
from schemas.settings import KafkaSettings
from schemas.topics import FRAMES, JUDGEMENTS, MODEL_RELEASES, Topic
from stream.broker import make_consumer, make_producer, send
from stream.codec import decode_event, encode_event, encode_frame
from stream.local import LocalStack
from stream.records import InRecord
from stream.simulator import DOMAINS, simulate_weld
from stream.sources import SourceFrame

SOURCE = "/weldstream/benchmarks"


def frames(count: int, prefix: str, weld_frames: int = 24) -> Iterator[SourceFrame]:
    """Yield simulated frames of one domain under ids of their own, weld after weld."""
    weld = 0
    while count > 0:
        part = min(count, weld_frames)
        yield from simulate_weld(DOMAINS[0], seed=(11, weld), frames=part, weld_id=f"{prefix}-{weld}")
        weld += 1
        count -= part


@dataclass(slots=True)
class Answers:
    """Judgements as they come in."""

    judgements: list[Judgement] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, record: InRecord) -> None:
        """Add a judgement."""
        self.judgements.append(decode_event(record, JUDGEMENTS, Judgement))
        self.arrived.set()

    async def until(self, count: int, patience_seconds: float = 60.0) -> None:
        """Wait for a number of judgements in all.

        Raises
        ------
        TimeoutError
            If none comes for ``patience_seconds``.
        """
        while len(self.judgements) < count:
            self.arrived.clear()
            await asyncio.wait_for(self.arrived.wait(), patience_seconds)


@dataclass(slots=True)
class Rig:
    """A connected stack with an inference service on it."""

    stack: LocalStack
    kafka: KafkaSettings
    registry: ModelRegistry
    producer: AIOKafkaProducer
    answers: Answers

    async def publish(self, scans: Sequence[SourceFrame], rate: float | None = None) -> float:
        """Send frames, at once or at a rate in frames/s, and return the loop's time at the first.

        All are encoded beforehand: the load must not take the processor from what is measured.
        """
        topic = self.kafka.topic(FRAMES)
        records = [encode_frame(scan.frame, scan.pixels, topic=topic, source=SOURCE) for scan in scans]
        loop = asyncio.get_running_loop()
        start = loop.time()
        deliveries = []
        for number, record in enumerate(records):
            if rate is not None:
                await asyncio.sleep(max(0.0, start + number / rate - loop.time()))
            deliveries.append(await send(self.producer, record))
        await asyncio.gather(*deliveries)
        return start

    async def announce(self, released: ModelReleased) -> None:
        """Announce a release, signed with the stack's key."""
        released = read_signer(self.stack.keys.private).sign(released)
        record = encode_event(
            self.kafka.topic(MODEL_RELEASES),
            MODEL_RELEASES,
            released,
            key=released.version.model.name,
            event_id=f"{released.version.model.name}-{released.sequence}",
            source=SOURCE,
            time=released.announced_at,
        )
        await (await send(self.producer, record))

    async def release(self, version: int) -> ModelReleased:
        """Promote a version and announce it."""
        released = await asyncio.to_thread(self.registry.promote, version, ReleaseKind.RELEASE, "benchmark")
        await self.announce(released)
        return released

    def resident_bytes(self) -> int:
        """Return the memory that the inference service has resident."""
        return int(psutil.Process(self.stack.services["inference"].pid).memory_info().rss)


@contextlib.asynccontextmanager
async def connected(
    stack: LocalStack,
    registry: ModelRegistry,
    topics: Sequence[Topic] = (JUDGEMENTS,),
    take: Callable[[InRecord], None] | None = None,
) -> AsyncIterator[Rig]:
    """Connect to a stack and read topics while the block runs; judgements are collected unless another takes them."""
    kafka = stack.kafka_settings
    answers = Answers()
    producer: Any = make_producer(kafka)
    await producer.start()
    try:
        async with _reading(kafka, topics, take or answers.take):
            yield Rig(stack, kafka, registry, producer, answers)
    finally:
        await producer.stop()


@contextlib.asynccontextmanager
async def _reading(
    kafka: KafkaSettings, topics: Sequence[Topic], take: Callable[[InRecord], None]
) -> AsyncIterator[None]:
    """Read topics from their beginning while the block runs, and hand each record over."""
    consumer: Any = make_consumer(kafka, topics, None)
    await consumer.start()
    collecting = asyncio.create_task(_collect(consumer, take))
    try:
        yield
    finally:
        collecting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await collecting
        await consumer.stop()


async def _collect(consumer: AIOKafkaConsumer, take: Callable[[InRecord], None]) -> None:
    async for record in consumer:
        take(record)


def now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)
