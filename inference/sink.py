"""Where a batch becomes durable: what it led to and its offset, both or neither."""

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Protocol

from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from inference.metrics import InferenceMetrics
from inference.ownership import Owned, Ownership
from schemas.errors import ServiceUnavailableError
from stream.broker import send
from stream.crash_points import CrashPoints
from stream.records import OutRecord
from stream.retry import RetryPolicy

_log = logging.getLogger(__name__)

_UNKNOWN = (KafkaError, AssertionError)
"""After these the end of a transaction is not known; the client guards its own states with assertions."""
_FORBIDDEN = (
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    MessageSizeTooLargeError,
)
"""The brokers will never take it: a person must act."""

PATIENT = RetryPolicy(attempts=1_000_000)
"""For work that must not be given up while the broker is away."""


class Sink(Protocol):
    """Takes what was made of a partition's frames, in order."""

    async def publish(self, owned: Owned, outputs: Sequence[OutRecord], upto: int) -> bool:
        """Make outputs durable together with the offset of the records that led to them.

        Parameters
        ----------
        owned : Owned
            The partition.
        outputs : sequence of OutRecord
            All that its part of a batch led to.
        upto : int
            The next offset to be read.

        Returns
        -------
        bool
            False if the partition has another owner: nothing of this is seen, and that one judges the frames.
        """


class TransactionalSink:
    """One Kafka transaction for each part of a batch: readers of committed records see each frame answered once.

    Where a transaction fails, or its end is not known, a new producer takes
    the place of the old one, which ends the old transaction one way or the
    other; the committed offset then tells which. An offset that is neither
    the old nor the new one shows that another process went on.

    Parameters
    ----------
    group : str
        The consumer group whose offsets are committed.
    ownership : Ownership
        Replaces producers.
    metrics : InferenceMetrics
        Counts what is tried again, and what was fenced.
    rng : random.Random
        Jitter of the retries.
    crash : CrashPoints
        Places: sent, offsets_sent, committed.
    retry : RetryPolicy
        For brokers that do not answer.
    """

    def __init__(
        self,
        group: str,
        ownership: Ownership,
        metrics: InferenceMetrics,
        rng: random.Random,
        *,
        crash: CrashPoints,
        retry: RetryPolicy = PATIENT,
    ) -> None:
        self._group = group
        self._ownership = ownership
        self._metrics = metrics
        self._rng = rng
        self._crash = crash
        self._retry = retry

    async def publish(self, owned: Owned, outputs: Sequence[OutRecord], upto: int) -> bool:
        """Commit outputs and offset, unless the partition is lost."""
        if owned.lost:
            return False
        try:
            await self._commit(owned, outputs, upto)
        except ProducerFenced:
            return self._fenced(owned)
        except _UNKNOWN as error:
            _refuse_if_forbidden(error)
            _log.warning("a transaction on %s[%d] failed: %r", *owned.partition, error)
            self._metrics.retries.labels("transaction").inc()
            if not await self._retry.run(lambda: self._again(owned, outputs, upto), rng=self._rng):
                return self._fenced(owned)
        owned.next = upto
        return True

    async def _again(self, owned: Owned, outputs: Sequence[OutRecord], upto: int) -> bool:
        try:
            committed = await self._ownership.renew(owned)
            if committed == upto:
                return True
            if committed != owned.next:
                return False
            await self._commit(owned, outputs, upto)
        except ProducerFenced:
            return False
        except _UNKNOWN as error:
            _refuse_if_forbidden(error)
            raise ServiceUnavailableError(f"a transaction on {owned.partition} failed again: {error!r}") from error
        return True

    async def _commit(self, owned: Owned, outputs: Sequence[OutRecord], upto: int) -> None:
        producer = owned.producer
        await producer.begin_transaction()
        deliveries = [await send(producer, record) for record in outputs]
        await asyncio.gather(*deliveries)
        self._crash.reach("sent")
        await producer.send_offsets_to_transaction({owned.partition: upto}, self._group)
        self._crash.reach("offsets_sent")
        await producer.commit_transaction()
        self._crash.reach("committed")

    def _fenced(self, owned: Owned) -> bool:
        owned.lost = True
        self._metrics.fenced.inc()
        _log.warning("%s[%d] has another owner, who judges what was under way here", *owned.partition)
        return False


def _refuse_if_forbidden(error: BaseException) -> None:
    if isinstance(error, _FORBIDDEN):
        raise error
