"""Reads the dead letters' topic, and sends letters back to where they came from."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from schemas.errors import BadPayloadError
from schemas.settings import KafkaSettings
from schemas.topics import DEAD_LETTERS
from stream.broker import make_admin, make_consumer, make_producer, send_and_wait
from stream.dead_letters import DeadLetter, read_dead_letter, requeued


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """A dead letter and where it lies in the dead letters' topic."""

    partition: int
    offset: int
    letter: DeadLetter

    @property
    def place(self) -> str:
        """Partition and offset as commands take them: ``partition:offset``."""
        return f"{self.partition}:{self.offset}"


Select = Callable[[StoredLetter], bool]


async def read_letters(kafka: KafkaSettings) -> AsyncGenerator[StoredLetter]:
    """Yield the dead letters that exist now, oldest first within a partition; strangers' records are left out."""
    partitions = await _partitions(kafka)
    if not partitions:
        return
    consumer: Any = make_consumer(kafka)
    await consumer.start()
    try:
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(partitions)
        for partition in partitions:
            others = [other for other in partitions if other != partition]
            consumer.pause(*others)
            consumer.resume(partition)
            while await consumer.position(partition) < ends[partition]:
                batch = await consumer.getmany(partition, timeout_ms=500)
                for record in batch.get(partition, ()):
                    if record.offset >= ends[partition]:
                        break
                    try:
                        yield StoredLetter(record.partition, record.offset, read_dead_letter(record))
                    except BadPayloadError:
                        continue
    finally:
        await consumer.stop()


async def _partitions(kafka: KafkaSettings) -> list[TopicPartition]:
    """Return the topic's partitions; none where nobody has created it yet."""
    name = kafka.topic(DEAD_LETTERS)
    admin: Any = make_admin(kafka)
    try:
        await admin.start()
        if name not in await admin.list_topics():
            return []
        (described,) = await admin.describe_topics([name])
    finally:
        await admin.close()
    return [TopicPartition(name, partition["partition"]) for partition in described["partitions"]]


async def list_letters(kafka: KafkaSettings, select: Select, limit: int) -> list[StoredLetter]:
    """Return the newest dead letters that are selected, oldest first."""
    found: list[StoredLetter] = []
    async with aclosing(read_letters(kafka)) as letters:
        async for stored in letters:
            if select(stored):
                found.append(stored)
                del found[:-limit]
    return found


async def requeue_letters(kafka: KafkaSettings, select: Select) -> tuple[int, int]:
    """Send the selected letters' records back to their own topics.

    The letters stay in the log: requeueing them again sends the records again.

    Returns
    -------
    sent, refused : int
        Refused are letters whose record had neither key nor value.
    """
    sent = refused = 0
    producer: Any = make_producer(kafka, client_id="weldstream-requeue")
    await producer.start()
    try:
        async with aclosing(read_letters(kafka)) as letters:
            async for stored in letters:
                if not select(stored):
                    continue
                try:
                    record = requeued(stored.letter)
                except BadPayloadError:
                    refused += 1
                    continue
                await send_and_wait(producer, record)
                sent += 1
    finally:
        await producer.stop()
    return sent, refused
