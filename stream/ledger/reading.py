"""Reads the ledger from Kafka."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.judgements import Judgement
from schemas.settings import KafkaSettings
from schemas.topics import JUDGEMENTS, WELD_PASSES, WELD_STATES, Topic
from schemas.welds import PassEnd, WeldState
from stream.codec import decode_event
from stream.ledger.chain import Entry, Mark, passes
from stream.reading import Span, bounds_of, partitions_of, read_to_end
from stream.records import InRecord

PassKey = tuple[str, str]
"""Weld and pass."""


@dataclass(frozen=True, slots=True)
class Passes:
    """What was read of the passes of a weld.

    Attributes
    ----------
    entries : mapping of (weld, pass) to list of Entry
        In the order of the chain.
    marks : mapping of (weld, pass) to list of Mark
        What states and ends say; also of passes without a judgement.
    cut : bool
        Whether a pass may begin before what is retained.
    """

    entries: Mapping[PassKey, list[Entry]]
    marks: Mapping[PassKey, list[Mark]]
    cut: bool = False


async def iterate_entries(
    kafka: KafkaSettings, weld_id: str | None = None, *, span: Span | None = None
) -> AsyncGenerator[tuple[Entry, InRecord]]:
    """Yield the judgements of a weld, or of all welds, as far as they are retained, with the records that hold them.

    Close the generator where it is left early: ``contextlib.aclosing``.

    Raises
    ------
    BadRecordError
        If a stranger wrote to the topic.
    """
    partitions = await partitions_of(kafka, kafka.topic(JUDGEMENTS))
    async with aclosing(read_to_end(kafka, partitions, span=span)) as records:
        async for record in records:
            if record.value is not None and _is_of(record, weld_id):
                yield _entry(record), record


async def read_entries(kafka: KafkaSettings, weld_id: str | None = None) -> list[Entry]:
    """Return the judgements of a weld, or of all welds, as far as they are retained.

    Raises
    ------
    BadRecordError
        If a stranger wrote to the topic.
    """
    async with aclosing(iterate_entries(kafka, weld_id)) as found:
        return [entry async for entry, _ in found]


async def read_passes(kafka: KafkaSettings, weld_id: str) -> Passes:
    """Return the passes of a weld with all that tells where their chains end.

    The weld may be in progress: its state is read before its judgements, which
    then hold at least what it says, and again after them, when it says at
    least what they hold.

    Raises
    ------
    BadRecordError
        If a stranger wrote to one of the topics.
    ServiceUnavailableError
        If an open transaction hides the end of a topic for too long.
    """
    marks: dict[PassKey, list[Mark]] = defaultdict(list)
    ended: dict[PassKey, datetime] = {}
    await _add_marks(kafka, weld_id, marks, ended, at_least=True)
    partitions = await partitions_of(kafka, kafka.topic(JUDGEMENTS))
    begins, ends = await bounds_of(kafka, partitions)
    cut = {partition.partition for partition, offset in begins.items() if offset}
    entries, oldest = [], dict[int, datetime]()
    async with aclosing(read_to_end(kafka, partitions, span=Span({}, ends))) as records:
        async for record in records:
            oldest.setdefault(record.partition, datetime.fromtimestamp(record.timestamp / 1000, UTC))
            if record.value is not None and _is_of(record, weld_id):
                entries.append(_entry(record))
    found = passes(entries)
    # States and ends may be retained longer than judgements: a pass that is gone as a whole is then not missed.
    horizon = max((oldest[n] for n in cut & oldest.keys()), default=None)
    for key in [key for key in marks if cut and key not in found]:
        if horizon is None or key not in ended or ended[key] < horizon:
            del marks[key]
    await _add_marks(kafka, weld_id, marks, {}, at_least=False, only=found.keys() | marks.keys())
    return Passes(found, dict(marks), bool(cut))


async def read_states(kafka: KafkaSettings, weld_id: str | None = None) -> list[WeldState]:
    """Return the welds in progress, or what is in progress of one.

    Raises
    ------
    BadRecordError
        If a stranger wrote to the topic.
    """
    newest: dict[tuple[int, bytes | None], InRecord] = {}
    async with aclosing(_settled(kafka, WELD_STATES)) as records:
        async for record in records:
            if _is_of(record, weld_id):
                newest[record.partition, record.key] = record
    return [decode_event(r, WELD_STATES, WeldState) for r in newest.values() if r.value is not None]


async def read_marks(kafka: KafkaSettings, weld_id: str | None = None, *, at_least: bool) -> dict[PassKey, list[Mark]]:
    """Return what states and ends say of the passes of a weld, or of all welds.

    Parameters
    ----------
    kafka : KafkaSettings
        Where.
    weld_id : str or None
        The weld.
    at_least : bool
        Whether the judgements are read after this.

    Raises
    ------
    BadRecordError
        If a stranger wrote to one of the topics.
    """
    marks: dict[PassKey, list[Mark]] = defaultdict(list)
    await _add_marks(kafka, weld_id, marks, {}, at_least=at_least)
    return dict(marks)


async def _add_marks(
    kafka: KafkaSettings,
    weld_id: str | None,
    marks: dict[PassKey, list[Mark]],
    ended: dict[PassKey, datetime],
    *,
    at_least: bool,
    only: "set[PassKey] | None" = None,
) -> None:
    # First the states, then the ends: a pass that ends in between is found among the latter.
    for state in await read_states(kafka, weld_id):
        key = state.weld_id, state.pass_id
        if only is None or key in only:
            marks[key].append(Mark(state.judged, state.head, ended=False, at_least=at_least))
    async with aclosing(_settled(kafka, WELD_PASSES)) as records:
        async for record in records:
            if not _is_of(record, weld_id):
                continue
            end = decode_event(record, WELD_PASSES, PassEnd)
            key = end.weld_id, end.pass_id
            ended[key] = end.ended_at
            if only is None or key in only:
                marks[key].append(Mark(end.judged, end.head, ended=True, at_least=at_least))


async def _settled(kafka: KafkaSettings, topic: Topic) -> AsyncGenerator[InRecord]:
    """Yield the records of a topic, those of transactions too that are just being committed."""
    partitions = await partitions_of(kafka, kafka.topic(topic))
    _, ends = await bounds_of(kafka, partitions)
    async with aclosing(read_to_end(kafka, partitions, span=Span({}, ends))) as records:
        async for record in records:
            yield record


def _is_of(record: InRecord, weld_id: str | None) -> bool:
    return weld_id is None or record.key == weld_id.encode()


def _entry(record: InRecord) -> Entry:
    assert record.value is not None
    return Entry.of(decode_event(record, JUDGEMENTS, Judgement), record.value)
