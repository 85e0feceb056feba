"""One term of leading: from taking over until something ends it."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from learner.assembly import Parts
from learner.books import Books
from learner.inspectors import Standings
from learner.service import StartOverError
from learner.settings import LearnerSettings
from learner.telemetry import LearnerMetrics
from schemas.errors import WeldstreamError
from schemas.inspectors import Standing
from schemas.topics import INSPECTORS, LABELS
from stream.clients import Consumer
from stream.reading import partitions_of
from stream.records import InRecord

_log = logging.getLogger(__name__)

_POLL_MS = 200
_MOST_RECORDS = 64


class TooManyPartitionsError(WeldstreamError):
    """The order of labels in several partitions is nobody's, so nothing deterministic comes of it."""

    reason = "too_many_partitions"


class LabelSource:
    """The labels topic from where the books stand, and the decisions on inspectors from a given one on.

    Partitions are assigned, not shared: only the active learner reads, and it
    reads all of them, whoever else has the same group id.

    Parameters
    ----------
    consumer : Consumer
        Started; belongs to no topic yet.
    settings : LearnerSettings
        Names the topics.
    books, metrics : Books, LearnerMetrics
        From where; how much is left.
    """

    def __init__(self, consumer: Consumer, settings: LearnerSettings, books: Books, metrics: LearnerMetrics) -> None:
        self._consumer = consumer
        self._settings = settings
        self._books = books
        self._metrics = metrics
        self._labels = settings.kafka.topic(LABELS)
        self._paused = False

    async def open(self, standings_from: Mapping[int, int]) -> None:
        """Assign all partitions and go to where reading goes on.

        Raises
        ------
        TooManyPartitionsError
            If a deterministic learner would read more than one.
        """
        kafka = self._settings.kafka
        labels = await partitions_of(kafka, self._labels)
        if self._settings.training.deterministic and len(labels) > 1:
            raise TooManyPartitionsError(
                f"{self._labels} has {len(labels)} partitions; training.deterministic needs a topic of one"
            )
        standings = await partitions_of(kafka, kafka.topic(INSPECTORS))
        self._consumer.assign([*labels, *standings])
        for partition in labels:
            position = self._books.progress.position(partition.partition)
            if position is None:
                await self._consumer.seek_to_beginning(partition)
            else:
                self._consumer.seek(partition, position)
        for partition in standings:
            self._consumer.seek(partition, standings_from.get(partition.partition, 0))

    async def poll(self) -> list[InRecord]:
        """Return what lies ready of both topics; no labels while too many wait."""
        self._pace()
        batches = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_MOST_RECORDS)
        return [record for records in batches.values() for record in records]

    def show_lag(self, record: InRecord) -> None:
        """Show what is left behind a label."""
        end = self._consumer.highwater(TopicPartition(record.topic, record.partition))
        if end is not None:
            self._metrics.lag.set(end - (self._books.progress.position(record.partition) or 0))

    def is_label(self, record: InRecord) -> bool:
        """Tell a label from a decision."""
        return record.topic == self._labels

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Show the group's lag; what a restart reads is decided by the checkpoint."""
        if not offsets:
            return
        try:
            await self._consumer.commit({TopicPartition(self._labels, p): o for p, o in offsets.items()})
        except KafkaError as error:
            _log.warning("offsets were not committed: %s", error)

    def _pace(self) -> None:
        full = len(self._books.pending) >= self._settings.intake.max_pending
        if full == self._paused:
            return
        labels = [p for p in self._consumer.assignment() if p.topic == self._labels]
        if full:
            self._consumer.pause(*labels)
        else:
            self._consumer.resume(*labels)
        self._paused = full


class Term:
    """Reads and learns until stopped, or until it must begin anew.

    Parameters
    ----------
    parts : Parts
        What runs.
    source : LabelSource
        Open.
    standings : Standings
        Told of decisions as they come.
    metrics : LearnerMetrics
        Counts.
    deterministic : bool
        Whether turns are taken between records.
    """

    def __init__(
        self,
        parts: Parts,
        source: LabelSource,
        standings: Standings,
        metrics: LearnerMetrics,
        *,
        deterministic: bool,
    ) -> None:
        self._service, self._intake = parts.service, parts.intake
        self._source = source
        self._standings = standings
        self._metrics = metrics
        self._deterministic = deterministic

    async def run(self, stopping: asyncio.Event) -> None:
        """Lead until told to stop; a checkpoint is written last.

        Raises
        ------
        ExceptionGroup
            Of whatever ended the term before.
        """
        await self._service.prepare()
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(self._read(stopping))
            working: list[asyncio.Task[Any]] = [reading]
            if not self._deterministic:
                working.append(tasks.create_task(self._service.run()))
            stop = tasks.create_task(stopping.wait())
            await stop
            self._service.stop()
            await asyncio.gather(*working)
            await self._service.save()

    async def _read(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            for record in await self._source.poll():
                if self._source.is_label(record):
                    await self._intake.take(record)
                    self._source.show_lag(record)
                else:
                    self._decide(record)
                if self._deterministic:
                    await self._service.catch_up()
                    if stopping.is_set():
                        return

    def _decide(self, record: InRecord) -> None:
        decision = self._standings.take(record, self._metrics)
        if decision is not None and decision.standing is Standing.REVOKED:
            raise StartOverError(f"the labels of {decision.inspector_id} are revoked: {decision.reason}")
