"""Events whose value is JSON."""

from datetime import datetime
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from schemas.errors import BadPayloadError, OversizeError
from schemas.topics import Topic
from stream.codec.cloudevents import JSON, explain, media_type, quote, read_headers, require_value, write_headers
from stream.records import InRecord, OutRecord

MOST_VALUES = 200_000
"""Values in one event. Each may be a fault, and a fault takes about a kilobyte until it has been told."""

T = TypeVar("T", bound=BaseModel)


def encode_event(
    topic_name: str, topic: Topic, payload: BaseModel, *, key: str, event_id: str, source: str, time: datetime
) -> OutRecord:
    """Turn a payload into a record.

    Parameters
    ----------
    topic_name : str
        Full name.
    topic : Topic
        Its entry in the table.
    payload : BaseModel
        What the table says the topic carries.
    key, event_id : str
        Record key and CloudEvents id.
    source : str
        URI reference of the program that says so.
    time : datetime
        When it happened, with a time zone.

    Raises
    ------
    TypeError
        If the payload does not belong on this topic.
    """
    if topic.payload is None or not isinstance(payload, topic.payload):
        msg = f"topic {topic.name} does not carry {type(payload).__name__}"
        raise TypeError(msg)
    headers = write_headers(event_type=topic.event_type, event_id=event_id, source=source, time=time, content_type=JSON)
    return OutRecord(topic_name, key.encode(), payload.model_dump_json().encode(), headers)


def decode_event(record: InRecord, topic: Topic, model: type[T], *, max_bytes: int | None = None) -> T:
    """Read a JSON event.

    Parameters
    ----------
    record : InRecord
        As it arrived.
    topic : Topic
        Where it came from.
    model : type of BaseModel
        What it is to be.
    max_bytes : int or None
        Largest value; by default as large as a record of the topic may be.

    Raises
    ------
    BadRecordError
        Whatever is wrong with it; a tombstone is refused too.
    """
    attributes = read_headers(record, topic.event_type)
    if (kind := media_type(attributes)) != JSON:
        raise BadPayloadError(f"content type {quote(kind)} is not read here; use {JSON}")
    value = require_value(record)
    most = topic.max_message_bytes if max_bytes is None else max_bytes
    if len(value) > most:
        raise OversizeError(f"the payload has {len(value)} bytes; at most {most} are accepted")
    # A comma parts any two values, so this bounds them before one is read; no string that we write has many.
    if value.count(b",") >= MOST_VALUES:
        raise OversizeError(f"the payload has more than {MOST_VALUES} values")
    try:
        return model.model_validate_json(value)
    except ValidationError as error:
        raise BadPayloadError(f"the payload is no valid {model.__name__}: {explain(error)}") from None
