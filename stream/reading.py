"""Reads what lies in a topic, once and to its end."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from schemas.errors import ServiceUnavailableError
from schemas.settings import KafkaSettings
from stream.access import start
from stream.broker import make_admin, make_consumer
from stream.clients import Consumer
from stream.records import InRecord

_POLL_MS = 200
SETTLE_SECONDS = 90.0
"""Longer than the brokers let a transaction be open."""


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a topic.

    Attributes
    ----------
    start : mapping of TopicPartition to int
        First offsets; a partition that is not named, or no longer holds its
        one, begins with the first that is retained.
    ends : mapping of TopicPartition to int
        Offsets to stop before, of every partition.
    """

    start: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]


async def read_to_end(
    kafka: KafkaSettings, partitions: Sequence[TopicPartition], *, span: Span | None = None
) -> AsyncGenerator[InRecord]:
    """Yield the committed records that partitions hold when this is called, one partition after the other.

    Close the generator where it is left early: ``contextlib.aclosing``.

    Parameters
    ----------
    kafka : KafkaSettings
        Where.
    partitions : sequence of TopicPartition
        What.
    span : Span, optional
        Which part of them; by default all that is retained and committed now.

    Raises
    ------
    ServiceUnavailableError
        If a transaction before the given end is not ended in time.
    """
    if not partitions:
        return
    consumer: Consumer = make_consumer(kafka, client_id="weldstream-reader")
    try:
        await consumer.start()
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        for partition, offset in (span.start if span else {}).items():
            if offset > await consumer.position(partition):
                consumer.seek(partition, offset)
        ends = await consumer.end_offsets(partitions) if span is None else span.ends
        for partition in partitions:
            consumer.pause(*(other for other in partitions if other != partition))
            consumer.resume(partition)
            async for record in _until(consumer, partition, ends[partition]):
                yield record
    finally:
        await consumer.stop()


async def _until(consumer: Consumer, partition: TopicPartition, end: int) -> AsyncGenerator[InRecord]:
    loop = asyncio.get_running_loop()
    position, since = await consumer.position(partition), loop.time()
    while position < end:
        for record in (await consumer.getmany(timeout_ms=_POLL_MS)).get(partition, ()):
            if record.offset < end:
                yield record
        if (now_at := await consumer.position(partition)) > position:
            position, since = now_at, loop.time()
        elif loop.time() - since > SETTLE_SECONDS:
            raise ServiceUnavailableError(f"{partition.topic}[{partition.partition}] cannot be read beyond {position}")


async def bounds_of(
    kafka: KafkaSettings, partitions: Sequence[TopicPartition]
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Return the first offset that each partition retains, and the one after its last record.

    Records of open transactions count: all that was sent before this is
    called lies before the end, also what another partition shows as committed
    already and this one does not yet.
    """
    if not partitions:
        return {}, {}
    consumer: Any = make_consumer(kafka, client_id="weldstream-reader", committed_only=False)
    await consumer.start()
    try:
        consumer.assign(partitions)
        begins: dict[TopicPartition, int] = await consumer.beginning_offsets(partitions)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    finally:
        await consumer.stop()
    return begins, ends


async def partitions_of(kafka: KafkaSettings, name: str) -> list[TopicPartition]:
    """Return a topic's partitions by its full name; none where nobody has created it yet."""
    admin: Any = make_admin(kafka)
    try:
        await start(admin, kafka)
        if name not in await admin.list_topics():
            return []
        (described,) = await admin.describe_topics([name])
    finally:
        await admin.close()
    return sorted(TopicPartition(name, partition["partition"]) for partition in described["partitions"])
