"""Copies labels out of their topic before its retention ends, and writes the manifest of what was copied."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from datetime import datetime
from pathlib import Path

from aiokafka import TopicPartition

from learner.assembly import make_reader
from learner.lab.errors import BadExperimentError
from learner.lab.streams.recorded import MANIFEST, Manifest, Range, Split, framed
from learner.settings import LearnerSettings
from schemas.errors import BadRecordError
from schemas.topics import LABELS
from stream.reading import Span, bounds_of, partitions_of, read_to_end
from stream.records import InRecord


async def record_labels(
    settings: LearnerSettings,
    folder: Path,
    clock: Callable[[], datetime],
    *,
    start: Mapping[int, int] | None = None,
    ends: Mapping[int, int] | None = None,
    test_share: float = 0.3,
    validation_share: float = 0.1,
    seed: int = 0,
    on_label: Callable[[], None] = lambda: None,
) -> Manifest:
    """Copy labels with their pixels into a new folder and write its manifest last.

    Parameters
    ----------
    settings : LearnerSettings
        Where the labels are, what is accepted, and what mask values mean.
    folder : Path
        Made by this.
    clock : callable
        Tells the time.
    start, ends : mapping of int to int or None
        By partition the first offset and the one after the last; by default all that is retained and committed.
    test_share, validation_share : float
        Shares of each domain's welds.
    seed : int
        Of the split.
    on_label : callable
        Called after each label.

    Raises
    ------
    BadExperimentError
        If the folder has a manifest, a part that was asked for is no longer retained or not there yet, or there is
        no label.
    """
    _make(folder)
    partitions = await partitions_of(settings.kafka, settings.kafka.topic(LABELS))
    begins, last = await bounds_of(settings.kafka, partitions)
    wanted_start = {p: (start or {}).get(p.partition, begins[p]) for p in partitions}
    wanted_ends = {p: (ends or {}).get(p.partition, last[p]) for p in partitions}
    for p in partitions:
        if not begins[p] <= wanted_start[p] <= wanted_ends[p] <= last[p]:
            raise BadExperimentError(
                f"{p.topic}[{p.partition}] holds offsets {begins[p]} to {last[p]}, not "
                f"{wanted_start[p]} to {wanted_ends[p]}"
            )
    copies = {p: _Copy(folder, p, wanted_start[p], wanted_ends[p]) for p in partitions}
    reader = make_reader(settings)
    welds: dict[str, dict[str, None]] = {}
    first: dict[str, datetime] = {}
    try:
        async with aclosing(read_to_end(settings.kafka, partitions, span=Span(wanted_start, wanted_ends))) as records:
            async for record in records:
                copy = copies[TopicPartition(record.topic, record.partition)]
                copy.saw(record)
                try:
                    label, _ = reader.read(record, clock())
                except BadRecordError:
                    copy.unreadable += 1
                    continue
                sample = label.sample
                copy.keep(framed(sample))
                welds.setdefault(sample.domain, {})[sample.weld_id] = None
                first[sample.domain] = min(first.get(sample.domain, label.labelled_at), label.labelled_at)
                on_label()
    finally:
        for copy in copies.values():
            copy.close()
    if not welds:
        raise BadExperimentError("there is no label that can be learned in that part of the topic")
    manifest = Manifest(
        recorded_at=clock(),
        classes=settings.classes,
        ranges=tuple(copy.range() for copy in copies.values()),
        split=split_welds(welds, test_share, validation_share, seed),
        domains=tuple(sorted(first, key=lambda name: first[name])),
    )
    _write(manifest, folder)
    return manifest


def _make(folder: Path) -> None:
    if (folder / MANIFEST).exists():
        raise BadExperimentError(f"{folder} holds a recording already; another goes to another folder")
    folder.mkdir(parents=True, exist_ok=True)


def _write(manifest: Manifest, folder: Path) -> None:
    draft = folder / f"{MANIFEST}.part"
    draft.write_text(manifest.model_dump_json(indent=1) + "\n", "utf-8")
    draft.replace(folder / MANIFEST)


def split_welds(
    welds: Mapping[str, Iterable[str]], test_share: float, validation_share: float, seed: int
) -> dict[str, Split]:
    """Assign each weld as a whole, by its name and never by the order of reading.

    In each domain the welds are ranked by a digest; the first are for testing,
    at least one of two, those that follow for validation. A weld that was
    assigned in an earlier domain stays where it is.
    """
    split: dict[str, Split] = {}
    for domain in sorted(welds):
        names = sorted(welds[domain], key=lambda weld: hashlib.sha256(f"{seed}\0{weld}".encode()).digest())
        test = max(round(test_share * len(names)), 1 if len(names) > 1 else 0)
        validation = test + round(validation_share * len(names))
        for rank, weld in enumerate(names):
            split.setdefault(weld, "test" if rank < test else "validation" if rank < validation else "train")
    return split


class _Copy:
    """The copy of one partition, being written."""

    def __init__(self, folder: Path, partition: TopicPartition, start: int, end: int) -> None:
        self._partition, self._start, self._end = partition, start, end
        self._name = f"labels-{partition.partition}.samples"
        self._file = (folder / self._name).open("wb")
        self._records, self._written = hashlib.sha256(), hashlib.sha256()
        self.unreadable = 0
        self._labels = 0

    def saw(self, record: InRecord) -> None:
        """Take a record into the digest of the range."""
        for piece in (str(record.offset).encode(), record.key or b"", record.value or b""):
            self._records.update(len(piece).to_bytes(8, "big") + piece)

    def keep(self, data: bytes) -> None:
        """Write a sample."""
        self._labels += 1
        self._written.update(data)
        self._file.write(data)

    def close(self) -> None:
        """End the file."""
        self._file.close()

    def range(self) -> Range:
        """Describe what was copied."""
        return Range(
            topic=self._partition.topic,
            partition=self._partition.partition,
            start=self._start,
            end=self._end,
            digest=self._records.hexdigest(),
            labels=self._labels,
            unreadable=self.unreadable,
            file=self._name,
            file_digest=self._written.hexdigest(),
        )
