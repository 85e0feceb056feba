"""Reads the dead letters' topic, and sends letters back to where they came from."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from schemas.errors import BadPayloadError
from schemas.settings import KafkaSettings
from schemas.topics import DEAD_LETTERS
from stream.broker import make_producer, send_and_wait
from stream.dead_letters import DeadLetter, read_dead_letter, requeued
from stream.reading import partitions_of, read_to_end


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
    partitions = await partitions_of(kafka, kafka.topic(DEAD_LETTERS))
    async with aclosing(read_to_end(kafka, partitions)) as records:
        async for record in records:
            try:
                yield StoredLetter(record.partition, record.offset, read_dead_letter(record))
            except BadPayloadError:
                continue


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
