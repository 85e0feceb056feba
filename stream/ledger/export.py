"""From the topics of the ledger to a folder of Parquet files."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from aiokafka.structs import TopicPartition
from pydantic import BaseModel

from schemas.judgements import Judgement
from schemas.settings import KafkaSettings
from schemas.topics import JUDGEMENTS, WELD_PASSES, Topic
from schemas.welds import PassEnd
from stream.codec import decode_event
from stream.ledger import folder as layout
from stream.ledger.chain import Entry
from stream.ledger.folder import ROWS_PER_FILE, LedgerFolder, LedgerFolderError, RangeWriter, Scope
from stream.ledger.reading import read_states
from stream.ledger.table import Row, judgement_row, judgement_schema, mark_row, mark_schema, parquet
from stream.local.lock import FolderLock
from stream.reading import Span, bounds_of, partitions_of, read_to_end
from stream.records import InRecord


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export did.

    Attributes
    ----------
    judgements, passes : int
        Rows that were added.
    lost : int
        Offsets of judgements whose retention ended between this export and the one before.
    """

    judgements: int
    passes: int
    lost: int


async def export_ledger(
    kafka: KafkaSettings, path: Path, *, weld_id: str | None = None, since: datetime | None = None
) -> Exported:
    """Add to a folder what was judged since the last export to it.

    What tells where chains end is read before the judgements, which then
    reach at least so far, and once more after them.

    Parameters
    ----------
    kafka : KafkaSettings
        From where.
    path : Path
        The folder; made where it is not there.
    weld_id : str or None
        Only this weld.
    since : datetime or None
        Only judgements made from then on.

    Raises
    ------
    PrerequisiteError
        If pyarrow is not installed.
    LedgerFolderError
        If the folder holds something else.
    FolderInUseError
        If another export writes to it.
    """
    parquet()
    folder, scope = LedgerFolder(path), Scope(topic=kafka.topic(JUDGEMENTS), weld=weld_id, since=since)
    with ExitStack() as stack:
        lock = FolderLock(path)
        stack.callback(lock.release)
        folder.begin(scope)
        before = [mark_row(state, at_least=True) for state in await read_states(kafka, weld_id)]
        passes, _ = await _add(kafka, WELD_PASSES, folder, layout.PASSES, schema=mark_schema(), to_row=_pass_row(scope))
        judgements, lost = await _add(
            kafka, JUDGEMENTS, folder, layout.JUDGEMENTS, schema=judgement_schema(), to_row=_judgement_row(scope)
        )
        after = [mark_row(state, at_least=False) for state in await read_states(kafka, weld_id)]
        folder.replace_open([*before, *after, *await _ended_since(kafka, folder, scope)], mark_schema())
    return Exported(judgements, passes, lost)


ToRow = Callable[[InRecord], Row | None]


def _judgement_row(scope: Scope) -> ToRow:
    def row(record: InRecord) -> Row | None:
        if record.value is None or not _may_be_of(scope, record):
            return None
        entry = Entry.of(decode_event(record, JUDGEMENTS, Judgement), record.value)
        judgement = entry.judgement
        return judgement_row(entry, record) if scope.takes(judgement.weld_id, judgement.judged_at) else None

    return row


def _pass_row(scope: Scope, *, at_least: bool = True) -> ToRow:
    def row(record: InRecord) -> Row | None:
        if not _may_be_of(scope, record):
            return None
        end: BaseModel = decode_event(record, WELD_PASSES, PassEnd)
        assert isinstance(end, PassEnd)
        return mark_row(end, at_least=at_least) if scope.takes(end.weld_id, end.ended_at) else None

    return row


def _may_be_of(scope: Scope, record: InRecord) -> bool:
    return scope.weld is None or record.key == scope.weld.encode()


async def _add(
    kafka: KafkaSettings, topic: Topic, folder: LedgerFolder, kind: str, *, schema: Any, to_row: ToRow
) -> tuple[int, int]:
    """Add the records of a topic that the folder does not have; return how many, and how many offsets are lost."""
    partitions = await partitions_of(kafka, kafka.topic(topic))
    begins, ends = await bounds_of(kafka, partitions)
    exported = folder.next_offsets(kind)
    rows = lost = 0
    for partition in partitions:
        number, end = partition.partition, ends[partition]
        wanted = exported.get(number, begins[partition])
        if wanted > end:
            raise LedgerFolderError(f"{folder.path} goes on to offset {wanted} of {partition}, which ends at {end}")
        first = max(wanted, begins[partition])
        lost += first - wanted
        while first < end:
            with folder.writing(kind, number, first, schema) as writer:
                await _fill(kafka, partition, Span({partition: first}, {partition: end}), writer, to_row)
            rows, first = rows + writer.rows, writer.next
    return rows, lost


async def _fill(
    kafka: KafkaSettings, partition: TopicPartition, span: Span, writer: RangeWriter, to_row: ToRow
) -> None:
    async with aclosing(read_to_end(kafka, [partition], span=span)) as records:
        async for record in records:
            if (row := to_row(record)) is not None:
                writer.add(row)
            writer.next = record.offset + 1
            if writer.rows >= ROWS_PER_FILE:
                return
    writer.next = span.ends[partition]


async def _ended_since(kafka: KafkaSettings, folder: LedgerFolder, scope: Scope) -> list[Row]:
    """Return the passes that ended while the judgements were read."""
    partitions = await partitions_of(kafka, kafka.topic(WELD_PASSES))
    _, ends = await bounds_of(kafka, partitions)
    exported: Mapping[int, int] = folder.next_offsets(layout.PASSES)
    start = {partition: exported.get(partition.partition, 0) for partition in partitions}
    to_row = _pass_row(scope, at_least=False)
    async with aclosing(read_to_end(kafka, partitions, span=Span(start, ends))) as records:
        return [row async for record in records if (row := to_row(record)) is not None]
