"""Reads what lies in a topic, once and to its end."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from aiokafka import TopicPartition

from schemas.settings import KafkaSettings
from stream.broker import make_admin, make_consumer
from stream.clients import Consumer
from stream.records import InRecord

_POLL_MS = 200


async def read_to_end(kafka: KafkaSettings, partitions: Sequence[TopicPartition]) -> AsyncGenerator[InRecord]:
    """Yield the committed records that partitions hold when this is called, one partition after the other.

    Close the generator where it is left early: ``contextlib.aclosing``.
    """
    if not partitions:
        return
    consumer: Consumer = make_consumer(kafka, client_id="weldstream-reader")
    try:
        await consumer.start()
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        for partition in partitions:
            consumer.pause(*(other for other in partitions if other != partition))
            consumer.resume(partition)
            while await consumer.position(partition) < ends[partition]:
                for record in (await consumer.getmany(timeout_ms=_POLL_MS)).get(partition, ()):
                    if record.offset < ends[partition]:
                        yield record
    finally:
        await consumer.stop()


async def partitions_of(kafka: KafkaSettings, name: str) -> list[TopicPartition]:
    """Return a topic's partitions by its full name; none where nobody has created it yet."""
    admin: Any = make_admin(kafka)
    try:
        await admin.start()
        if name not in await admin.list_topics():
            return []
        (described,) = await admin.describe_topics([name])
    finally:
        await admin.close()
    return sorted(TopicPartition(name, partition["partition"]) for partition in described["partitions"])
