"""Reads the ledger from Kafka."""

from contextlib import aclosing

from schemas.judgements import Judgement
from schemas.settings import KafkaSettings
from schemas.topics import JUDGEMENTS
from stream.codec import decode_event
from stream.ledger.chain import Entry
from stream.reading import partitions_of, read_to_end


async def read_entries(kafka: KafkaSettings, weld_id: str | None = None) -> list[Entry]:
    """Return the judgements of a weld, or of all welds, as far as they are retained.

    Raises
    ------
    BadRecordError
        If a stranger wrote to the topic.
    """
    key = None if weld_id is None else weld_id.encode()
    partitions = await partitions_of(kafka, kafka.topic(JUDGEMENTS))
    async with aclosing(read_to_end(kafka, partitions)) as records:
        return [
            Entry.of(decode_event(record, JUDGEMENTS, Judgement), record.value)
            async for record in records
            if record.value is not None and (key is None or record.key == key)
        ]
