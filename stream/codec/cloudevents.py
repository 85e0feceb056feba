"""Attributes of a CloudEvent as Kafka headers (CloudEvents Kafka binding 1.0.2, binary content mode)."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import ValidationError

from schemas.errors import BadPayloadError, MalformedHeaderError, MissingHeaderError, OversizeError, UnknownTypeError
from stream.records import Headers, InRecord

SPEC_VERSION = "1.0"
_QUOTED, _LONGEST_PATH = 40, 200
CONTENT_TYPE = "content-type"
JSON = "application/json"
MOST_ATTRIBUTES = 64
"""Attributes of one event that are read; an event of ours has at most 20."""
LONGEST_ATTRIBUTE = 4096
"""Bytes of one attribute."""
REQUIRED = ("ce_specversion", "ce_id", "ce_source", "ce_type")


def read_headers(record: InRecord, event_type: str) -> dict[str, str]:
    """Return the event's attributes and content type, by header name.

    Headers of other names are left alone: they belong to tracing or to other systems.

    Raises
    ------
    MissingHeaderError, MalformedHeaderError, UnknownTypeError
        If it is no CloudEvent of this type.
    OversizeError
        If it has too many attributes, or one is too long.
    """
    attributes = _attributes(record.headers)
    for name in REQUIRED:
        require(attributes, name)
    if attributes["ce_specversion"] != SPEC_VERSION:
        raise UnknownTypeError(
            f"header ce_specversion says {quote(attributes['ce_specversion'])}; only {SPEC_VERSION!r} is read"
        )
    if attributes["ce_type"] != event_type:
        raise UnknownTypeError(f"header ce_type says {quote(attributes['ce_type'])}; expected {event_type!r}")
    return attributes


def require(attributes: Mapping[str, str], name: str) -> str:
    """Return a header's value, or raise ``MissingHeaderError``."""
    value = attributes.get(name)
    if not value:
        raise MissingHeaderError(f"header {name} is missing" if value is None else f"header {name} is empty")
    return value


def write_headers(
    *, event_type: str, event_id: str, source: str, time: datetime, content_type: str, **extensions: str
) -> tuple[tuple[str, bytes | None], ...]:
    """Return the headers of an event; extensions are named without their prefix."""
    attributes = {
        "ce_specversion": SPEC_VERSION,
        "ce_id": event_id,
        "ce_source": source,
        "ce_type": event_type,
        "ce_time": time.isoformat(),
        CONTENT_TYPE: content_type,
    }
    attributes |= {f"ce_{name}": value for name, value in extensions.items()}
    return tuple((name, value.encode()) for name, value in attributes.items())


def media_type(attributes: Mapping[str, str]) -> str:
    """Return the content type without parameters, in lower case."""
    return require(attributes, CONTENT_TYPE).partition(";")[0].strip().lower()


def require_value(record: InRecord) -> bytes:
    """Return the record's value, which must not be empty or a tombstone."""
    if record.value is None:
        raise BadPayloadError("the record has no value (a tombstone)")
    if not record.value:
        raise BadPayloadError("the payload is empty")
    return record.value


def quote(text: str) -> str:
    """Return the beginning of a text that came from outside, on one line."""
    return repr(text[:_QUOTED]) + ("..." if len(text) > _QUOTED else "")


def explain(error: ValidationError, names: Mapping[str, str] | None = None) -> str:
    """Say in one line what a model refused, at most three faults.

    Parameters
    ----------
    error : ValidationError
        From pydantic.
    names : mapping or None
        What to call a field instead of its dotted path.
    """
    faults = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False)[:3]:
        path = ".".join(str(part) for part in fault["loc"])
        path = path if path.isprintable() and len(path) <= _LONGEST_PATH else quote(path)
        name = (names or {}).get(path, path)
        faults.append(f"{name}: {fault['msg']}" if name else fault["msg"])
    more = error.error_count() - len(faults)
    return "; ".join(faults) + (f"; and {more} more" if more > 0 else "")


def _attributes(headers: Headers) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for name, value in headers:
        if not name.startswith("ce_") and name != CONTENT_TYPE:
            continue
        if name in attributes:
            raise MalformedHeaderError(f"header {quote(name)} is given twice")
        if value is None:
            raise MalformedHeaderError(f"header {quote(name)} has a null value")
        if len(attributes) == MOST_ATTRIBUTES:
            raise OversizeError(f"the event has more than {MOST_ATTRIBUTES} attributes")
        if len(name) + len(value) > LONGEST_ATTRIBUTE:
            raise OversizeError(
                f"header {quote(name)} has {len(name) + len(value)} bytes; at most {LONGEST_ATTRIBUTE} are read"
            )
        try:
            attributes[name] = bytes(value).decode()
        except UnicodeDecodeError:
            raise MalformedHeaderError(f"header {quote(name)} is not UTF-8 text") from None
    return attributes
