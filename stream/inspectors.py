"""Decisions on inspectors as records: whoever decides, the newest of an inspector replaces the one before."""

from schemas.inspectors import InspectorStanding
from schemas.settings import KafkaSettings
from schemas.topics import INSPECTORS
from stream.codec import decode_event, encode_event
from stream.records import InRecord, OutRecord


def encode_standing(kafka: KafkaSettings, standing: InspectorStanding, *, source: str) -> OutRecord:
    """Return the record of a decision; `source` tells what published it."""
    inspector, at = standing.inspector_id, standing.decided_at
    return encode_event(
        kafka.topic(INSPECTORS),
        INSPECTORS,
        standing,
        key=inspector,
        event_id=f"{inspector}-{at.isoformat()}",
        source=source,
        time=at,
    )


def decode_standing(record: InRecord) -> InspectorStanding:
    """Return the decision of a record.

    Raises
    ------
    BadRecordError
        If it cannot be read.
    """
    return decode_event(record, INSPECTORS, InspectorStanding)
