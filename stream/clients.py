"""What is used of Kafka's clients, typed: the client library publishes no types."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from aiokafka import ConsumerRebalanceListener
from aiokafka.structs import TopicPartition

from stream.records import InRecord


class Consumer(Protocol):
    """The part of ``aiokafka.AIOKafkaConsumer`` that this package calls."""

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Leave the group and disconnect."""

    def subscribe(self, topics: Sequence[str] = (), *, listener: ConsumerRebalanceListener | None = None) -> None:
        """Choose topics."""

    async def getmany(
        self, *, timeout_ms: int = 0, max_records: int | None = None
    ) -> Mapping[TopicPartition, Sequence[InRecord]]:
        """Return what lies ready, waiting for at most ``timeout_ms``."""

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit the next offset to be read of each partition."""

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        """Choose partitions."""

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the offset after each partition's last record that may be read."""

    async def committed(self, partition: TopicPartition) -> int | None:
        """Return the group's committed offset, None if there is none."""

    def assignment(self) -> frozenset[TopicPartition]:
        """Return the partitions that are ours."""

    def highwater(self, partition: TopicPartition) -> int | None:
        """Return the offset after a partition's last record, where it is known."""

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from an offset."""

    async def position(self, partition: TopicPartition) -> int:
        """Return the next offset that will be fetched."""

    async def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        """Read on from the first record there is."""

    def pause(self, *partitions: TopicPartition) -> None:
        """Fetch nothing of these partitions."""

    def resume(self, *partitions: TopicPartition) -> None:
        """Fetch again."""


class TransactionalProducer(Protocol):
    """The part of ``aiokafka.AIOKafkaProducer`` that transactions need."""

    async def start(self) -> None:
        """Connect, and fence every producer before this one that has its transactional id."""

    async def stop(self) -> None:
        """Flush and disconnect."""

    async def begin_transaction(self) -> None:
        """Begin a transaction."""

    async def send_offsets_to_transaction(self, offsets: Mapping[TopicPartition, int], group_id: str) -> None:
        """Let a group's offsets be committed together with the transaction."""

    async def commit_transaction(self) -> None:
        """Return when the brokers have committed what was sent."""
