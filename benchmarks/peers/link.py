"""A producer and a consumer on the one broker, which notes when each answer came."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer

from benchmarks.peers.peer import Answer, Send
from schemas.settings import KafkaSettings
from schemas.topics import Topic
from stream.broker import make_consumer, make_producer, send_and_wait
from stream.records import InRecord, OutRecord

Read = Callable[[InRecord, float], Answer]
"""Reads an answer from a record, given when it came."""


class Link:
    """Sends records and collects answers."""

    def __init__(self, producer: Any) -> None:
        self.producer = producer
        self.answers: list[Answer] = []

    def sender(self, record: OutRecord) -> Send:
        """Return what sends a record and waits until the broker has it."""
        return lambda: send_and_wait(self.producer, record)

    async def collect(self, consumer: AIOKafkaConsumer, read: Read) -> None:
        """Note answers for ever."""
        loop = asyncio.get_running_loop()
        async for record in consumer:
            self.answers.append(read(record, loop.time()))


@contextlib.asynccontextmanager
async def linked(kafka: KafkaSettings, topics: Sequence[Topic], read: Read) -> AsyncIterator[Link]:
    """Connect, and collect while the block runs."""
    producer: Any = make_producer(kafka, client_id="peers")
    consumer: Any = make_consumer(kafka, topics, None)
    await producer.start()
    await consumer.start()
    link = Link(producer)
    collecting = asyncio.create_task(link.collect(consumer, read))
    try:
        yield link
    finally:
        collecting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await collecting
        await consumer.stop()
        await producer.stop()
