"""Who may answer the frames of a partition: the process whose transactional producer came last."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from aiokafka.structs import TopicPartition

from inference.welds import WeldBook
from schemas.settings import KafkaSettings
from schemas.topics import WELD_STATES
from schemas.welds import WeldState
from stream.broker import make_producer
from stream.clients import TransactionalProducer
from stream.codec import decode_event
from stream.reading import read_to_end
from stream.records import InRecord

_log = logging.getLogger(__name__)

_STOP_SECONDS = 5.0


@dataclass(slots=True, eq=False)
class Owned:
    """A partition that this process answers for.

    Attributes
    ----------
    partition : TopicPartition
        Of the frames topic.
    producer : TransactionalProducer
        Its transactional id is the partition's, so a later owner's fences it.
    next : int or None
        First frame that is not answered, as the group's committed offset
        says; None if none ever was.
    book : WeldBook
        The partition's welds in progress.
    lost : bool
        Whether another process owns the partition now, or may.
    """

    partition: TopicPartition
    producer: TransactionalProducer
    next: int | None
    book: WeldBook
    lost: bool = False


class Ownership:
    """Takes partitions over, and gives them back.

    Whoever takes a partition over first starts a transactional producer under
    the partition's id: the broker aborts what the owner before left open and
    refuses whatever it sends later. Only then are the committed offset and
    the welds in progress read, so nothing can change behind them.

    Parameters
    ----------
    kafka : KafkaSettings
        Where.
    group : str
        The consumer group whose offsets are committed.
    states_topic : str
        Full name of the topic of weld states.
    committed : callable
        Returns the group's committed offset of a partition, None if there is none.
    revive : callable
        Brings the versions back that welds in progress began with; told the
        book, from which it closes those welds whose version cannot be had.
    monotonic : callable
        Returns seconds.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        group: str,
        states_topic: str,
        *,
        committed: Callable[[TopicPartition], Awaitable[int | None]],
        revive: Callable[[WeldBook], Awaitable[None]],
        monotonic: Callable[[], float],
    ) -> None:
        self._kafka = kafka
        self._group = group
        self._states_topic = states_topic
        self._committed = committed
        self._revive = revive
        self._monotonic = monotonic
        self._owned: dict[TopicPartition, Owned] = {}
        self._taking: WeldBook | None = None

    @property
    def books(self) -> list[WeldBook]:
        """The books of all partitions that are ours, and of one that is just being taken over."""
        books = [owned.book for owned in self._owned.values() if not owned.lost]
        return books if self._taking is None else [*books, self._taking]

    def current(self) -> dict[TopicPartition, Owned]:
        """Return what is owned now, by partition."""
        return {partition: owned for partition, owned in self._owned.items() if not owned.lost}

    async def acquire(self, partition: TopicPartition) -> Owned:
        """Return what is owned of a partition; one that is not ours, or no longer, is taken over.

        Called for one partition at a time.
        """
        owned = self._owned.get(partition)
        if owned is not None and not owned.lost:
            return owned
        if owned is not None:
            await _stop(owned.producer)
        producer = await self.producer(partition)
        try:
            committed = await self._committed(partition)
            book = WeldBook(
                await read_states(self._kafka, TopicPartition(self._states_topic, partition.partition)),
                self._monotonic(),
            )
            self._taking = book
            await self._revive(book)
        except BaseException:
            await _stop(producer)
            raise
        finally:
            self._taking = None
        _log.info("%s[%d] is ours from %s on, %d welds in progress", *partition, committed, len(book))
        owned = self._owned[partition] = Owned(partition, producer, committed, book)
        return owned

    async def producer(self, partition: TopicPartition) -> TransactionalProducer:
        """Start a producer that fences every one before it of the same partition."""
        name = f"{self._group}.{partition.topic}.{partition.partition}"
        producer: TransactionalProducer = make_producer(
            self._kafka, client_id="weldstream-inference", transactional_id=name
        )
        try:
            await producer.start()
        except BaseException:
            await _stop(producer)
            raise
        return producer

    async def renew(self, owned: Owned) -> int | None:
        """Replace a producer that failed, fencing its like, and return the offset that is committed now."""
        await _stop(owned.producer)
        owned.producer = await self.producer(owned.partition)
        return await self._committed(owned.partition)

    async def release(self, partitions: Iterable[TopicPartition]) -> None:
        """Give partitions back; nothing of them may be under way."""
        gone = [owned for p in list(partitions) if (owned := self._owned.pop(p, None)) is not None]
        for owned in gone:
            owned.lost = True
        await asyncio.gather(*(_stop(owned.producer) for owned in gone))

    async def close(self) -> None:
        """Give all partitions back."""
        await self.release(list(self._owned))


async def read_states(kafka: KafkaSettings, topic: TopicPartition) -> Sequence[WeldState]:
    """Read the welds in progress of a partition.

    Raises
    ------
    BadRecordError
        If a stranger wrote to the topic.
    """
    states: dict[bytes | None, InRecord] = {}
    async with aclosing(read_to_end(kafka, [topic])) as records:
        async for record in records:
            if record.value is None:
                states.pop(record.key, None)
            else:
                states[record.key] = record
    return [decode_event(record, WELD_STATES, WeldState) for record in states.values()]


async def _stop(producer: TransactionalProducer) -> None:
    # One that was fenced or cut off has nothing left that may arrive.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_STOP_SECONDS):
            await producer.stop()
