"""Where a batch becomes durable: what it led to first, then its offsets."""

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from typing import Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaTimeoutError, MessageSizeTooLargeError
from aiokafka.structs import TopicPartition

from inference.metrics import InferenceMetrics
from schemas.errors import ServiceUnavailableError
from stream.broker import send
from stream.clients import Consumer
from stream.records import OutRecord
from stream.retry import RetryPolicy, is_retriable

_log = logging.getLogger(__name__)

PATIENT = RetryPolicy(attempts=1_000_000)
"""For work that must not be given up while the broker is away."""


class Sink(Protocol):
    """Takes batches in order; when ``publish`` returns, the batch is never judged again by this group."""

    async def publish(self, outputs: Sequence[OutRecord], offsets: Mapping[TopicPartition, int]) -> None:
        """Make outputs durable, then the offsets of the records that led to them.

        Parameters
        ----------
        outputs : sequence of OutRecord
            All that the batch led to.
        offsets : mapping of TopicPartition to int
            The next offset to be read of each partition in the batch.
        """


class AtLeastOnceSink:
    """Waits for the brokers to hold all outputs before it commits.

    A process that dies between both judges its last batches again; outputs
    carry ids derived from the frame, so that readers can tell.

    Parameters
    ----------
    producer : AIOKafkaProducer
        Started and idempotent.
    consumer : Consumer
        Whose group's offsets are committed.
    metrics : InferenceMetrics
        Counts what is tried again.
    rng : random.Random
        Jitter of the retries.
    retry : RetryPolicy
        For brokers that do not answer.
    """

    def __init__(
        self,
        producer: AIOKafkaProducer,
        consumer: Consumer,
        metrics: InferenceMetrics,
        rng: random.Random,
        retry: RetryPolicy = PATIENT,
    ) -> None:
        self._producer = producer
        self._consumer = consumer
        self._metrics = metrics
        self._rng = rng
        self._retry = retry

    async def publish(self, outputs: Sequence[OutRecord], offsets: Mapping[TopicPartition, int]) -> None:
        """Send, wait for all acknowledgements, commit."""
        pending = list(outputs)

        async def deliver() -> None:
            # Only what failed is sent again, so that a retry repeats nothing that arrived.
            failed = await self._send(pending)
            pending[:] = [record for record, _ in failed]
            if failed:
                raise next((error for _, error in failed if not is_retriable(error)), failed[0][1])

        await self._retry.run(deliver, rng=self._rng, on_retry=self._report("produce"))
        await self._retry.run(lambda: self._commit(offsets), rng=self._rng, on_retry=self._report("commit"))

    async def _send(self, records: Sequence[OutRecord]) -> list[tuple[OutRecord, Exception]]:
        results = await asyncio.gather(*(self._deliver(record) for record in records), return_exceptions=True)
        failed: list[tuple[OutRecord, Exception]] = []
        for record, result in zip(records, results, strict=True):
            if isinstance(result, MessageSizeTooLargeError):
                # It would be refused for ever, and all that follows must not wait for it.
                _log.error("a record of %d bytes is too large for %s", len(record.value or b""), record.topic)
                self._metrics.outputs_refused.inc()
            elif isinstance(result, Exception):
                failed.append((record, result))
            elif isinstance(result, BaseException):
                raise result
        return failed

    async def _deliver(self, record: OutRecord) -> None:
        try:
            await (await send(self._producer, record))
        except KafkaTimeoutError as error:
            # The client does not call this retriable, but its buffer is full only while the brokers are away.
            raise ServiceUnavailableError("the producer's buffer is full, the brokers take nothing") from error

    async def _commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        try:
            await self._consumer.commit(dict(offsets))
        except (CommitFailedError, IllegalStateError) as error:
            # The partitions have another owner, who starts at the last commit: these frames are judged twice.
            _log.warning("offsets %s were not committed: %s", dict(offsets), error)
            self._metrics.retries.labels("lost_partition").inc()

    def _report(self, step: str) -> "_Report":
        return _Report(self._metrics, step)


class _Report:
    def __init__(self, metrics: InferenceMetrics, step: str) -> None:
        self._metrics = metrics
        self._step = step

    def __call__(self, attempt: int, error: BaseException) -> None:
        self._metrics.retries.labels(self._step).inc()
        _log.warning("attempt %d to %s failed, trying again: %s", attempt, self._step, error)
