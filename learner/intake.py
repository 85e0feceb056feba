"""Takes records of the labels topic: asks whose they are, scores, holds out, remembers, queues."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from learner.books import Books, strike_key
from learner.holdout import HoldoutRule, ValidationSet
from learner.inspectors import InspectorGuard, QuarantinedInspectorError, Standings
from learner.labels import Label, Prequential
from learner.rollback import RollbackWatch
from learner.telemetry import LearnerMetrics
from memory.samples import Sample
from memory.stores.base import Admission
from schemas.errors import AccessRefusedError, WeldstreamError
from schemas.inspectors import Standing
from stream.crash_points import CrashPoints
from stream.records import InRecord


class Intake:
    """What happens to each record before it is learned.

    Parameters
    ----------
    read : callable
        Reads a record as :meth:`learner.labels.LabelReader.read` does, and waits where storage is away.
    books : Books
        Where labels wait.
    holdout, validation : HoldoutRule, ValidationSet
        What is never trained on, and where it is kept.
    admit : callable
        Offers a sample to the memory; waits where Redis is away.
    refuse : callable
        Sends a record to the dead letters and returns when it is there.
    prequential, watch : Prequential, RollbackWatch
        Told what the serving version made of the label.
    standings : Standings
        Whose labels are learned.
    guard : InspectorGuard or None
        Told whose label it is and what was served; None where nobody is set aside unasked.
    cursor : mapping of (str, int) to int
        What the memory had taken in when this process started: a label that
        it knows from before that is read again, one that comes later is a repetition.
    metrics : LearnerMetrics
        Counts.
    crash : CrashPoints
        Place: admitted.
    """

    def __init__(
        self,
        *,
        read: Callable[[InRecord], Awaitable[tuple[Label, bool]]],
        books: Books,
        holdout: HoldoutRule,
        validation: ValidationSet,
        admit: Callable[[Sample], Awaitable[Admission]],
        refuse: Callable[[InRecord, WeldstreamError], Awaitable[None]],
        prequential: Prequential,
        watch: RollbackWatch,
        standings: Standings,
        guard: InspectorGuard | None,
        cursor: Mapping[tuple[str, int], int],
        metrics: LearnerMetrics,
        crash: CrashPoints,
    ) -> None:
        self._read = read
        self._books = books
        self._holdout = holdout
        self._validation = validation
        self._admit = admit
        self._refuse = refuse
        self._prequential = prequential
        self._watch = watch
        self._standings = standings
        self._guard = guard
        self._cursor = cursor
        self._metrics = metrics
        self._crash = crash
        self.arrived = asyncio.Event()

    async def take(self, record: InRecord) -> None:
        """Take one record; all that it leads to but learning is done when this returns."""
        if not self._books.progress.read(record.partition, record.offset):
            return
        try:
            label, unreadable = await self._read(record)
            if self._books.knows(label.sample.label_id):
                self._duplicate(record)
                return
            if self._left_out(label):
                self._books.progress.settle(record.partition, record.offset)
                return
            await self._file(record, self._books.changes.placed(label))
        except AccessRefusedError:
            raise  # not the label's fault
        except WeldstreamError as error:
            await self._refuse(record, error)
            self._metrics.labels.labels("dead_letter").inc()
            self._books.progress.settle(record.partition, record.offset)
            return
        self._metrics.unreadable_judgements.inc(int(unreadable))

    def _left_out(self, label: Label) -> bool:
        """Tell whether a label was given up before, or is never to be learned.

        Raises
        ------
        QuarantinedInspectorError
            If its inspector is quarantined: it is set aside, to be sent back or not.
        """
        standing = self._standings.of(label.inspector_id)
        if standing is Standing.QUARANTINED:
            raise QuarantinedInspectorError(f"the labels of {label.inspector_id} are set aside")
        if standing is Standing.REVOKED:
            self._metrics.labels.labels("revoked").inc()
            return True
        return strike_key(label.sample) in self._books.struck

    async def _file(self, record: InRecord, label: Label) -> None:
        sample = label.sample
        if self._holdout.holds_out(sample.domain, sample.weld_id, sample.label_id):
            await self._validation.add(sample)
            await self._score(label)
            self._books.settle(label)
            self._metrics.labels.labels("held_out").inc()
            return
        admission = await self._admit(sample)
        self._crash.reach("admitted")
        if admission.duplicate and record.offset >= self._cursor.get((record.topic, record.partition), 0):
            self._duplicate(record)
            return
        await self._score(label)
        self._books.pending[sample.label_id] = label
        self._metrics.pending.set(len(self._books.pending))
        self._metrics.label_age.labels("received").observe((label.received_at - label.labelled_at).total_seconds())
        self.arrived.set()

    async def _score(self, label: Label) -> None:
        self._watch.add(label)
        if label.served is not None and label.served_by is not None:
            domain = label.sample.domain
            self._prequential.add(label.served_by, domain, label.served)
            self._metrics.prequential.labels(domain).set(self._prequential.dice(label.served_by, domain) or 0.0)
            if self._guard is not None:
                await self._guard.look_at(label)
        self.arrived.set()

    def _duplicate(self, record: InRecord) -> None:
        self._metrics.labels.labels("duplicate").inc()
        self._books.progress.settle(record.partition, record.offset)
