"""What somebody with access to the brokers' disks could do to the ledger: a copy of its topics that was changed."""

from collections.abc import Callable
from contextlib import aclosing

from schemas.judgements import Judgement
from schemas.settings import KafkaSettings
from schemas.topics import JUDGEMENTS, WELD_PASSES, WELD_STATES, Topic
from schemas.welds import WeldState
from stream.broker import make_producer, send_and_wait
from stream.codec import decode_event
from stream.reading import Span, bounds_of, partitions_of, read_to_end
from stream.records import InRecord, OutRecord
from stream.topics import ensure_topics

Change = Callable[[Topic, list[OutRecord]], list[OutRecord]]


async def records_of(kafka: KafkaSettings, topic: Topic) -> list[InRecord]:
    partitions = await partitions_of(kafka, kafka.topic(topic))
    _, ends = await bounds_of(kafka, partitions)
    async with aclosing(read_to_end(kafka, partitions, span=Span({}, ends))) as records:
        return [record async for record in records]


async def copied(kafka: KafkaSettings, name: str, change: Change) -> KafkaSettings:
    """Return where the changed copy is."""
    copy = kafka.model_copy(update={"topic_prefix": f"{kafka.topic_prefix}{name}."})
    await ensure_topics(copy)
    producer = make_producer(copy)
    await producer.start()
    for topic in (JUDGEMENTS, WELD_STATES, WELD_PASSES):
        records = [
            OutRecord(copy.topic(topic), r.key, r.value, tuple(r.headers), r.partition)
            for r in await records_of(kafka, topic)
        ]
        for record in change(topic, records):
            await send_and_wait(producer, record)
    await producer.stop()
    return copy


def unchanged(topic: Topic, records: list[OutRecord]) -> list[OutRecord]:
    return records


def without(sequence: int) -> Change:
    """Leave a judgement out."""
    return lambda topic, records: [r for r in records if topic is not JUDGEMENTS or sequence_of(r) != sequence]


def altered(sequence: int, **fields: object) -> Change:
    """Let a judgement say something else."""

    said = fields or {"indications": (), "flagged": False, "uncertainty": 0.5}

    def change(topic: Topic, records: list[OutRecord]) -> list[OutRecord]:
        return [
            with_value(r, judgement_of(r).model_copy(update=said))
            if topic is JUDGEMENTS and sequence_of(r) == sequence
            else r
            for r in records
        ]

    return change


def state(**fields: object) -> Change:
    """Let the last state of each weld say something else."""

    def change(topic: Topic, records: list[OutRecord]) -> list[OutRecord]:
        if topic is not WELD_STATES:
            return records
        newest = {r.key: r for r in records}
        return [with_value(r, state_of(r).model_copy(update=fields)) for r in newest.values()]

    return change


def stateless(topic: Topic, records: list[OutRecord]) -> list[OutRecord]:
    """Leave out whatever says where a chain ends."""
    return records if topic is JUDGEMENTS else []


def both(first: Change, second: Change) -> Change:
    return lambda topic, records: second(topic, first(topic, records))


def judgement_of(record: OutRecord) -> Judgement:
    return decode_event(as_read(record), JUDGEMENTS, Judgement)


def state_of(record: OutRecord) -> WeldState:
    return decode_event(as_read(record), WELD_STATES, WeldState)


def sequence_of(record: OutRecord) -> int:
    return judgement_of(record).chain.sequence


def with_value(record: OutRecord, said: Judgement | WeldState) -> OutRecord:
    return OutRecord(record.topic, record.key, said.model_dump_json().encode(), record.headers, record.partition)


def as_read(record: OutRecord) -> InRecord:
    from tests.unit.inference import records

    return records.as_read(record)
