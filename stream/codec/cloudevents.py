"""Attributes of a CloudEvent as Kafka headers (CloudEvents Kafka binding 1.0.2, binary content mode)."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import ValidationError

from schemas.errors import BadPayloadError, MalformedHeaderError, MissingHeaderError, UnknownTypeError
from stream.records import Headers, InRecord

SPEC_VERSION = "1.0"
CONTENT_TYPE = "content-type"
JSON = "application/json"
REQUIRED = ("ce_specversion", "ce_id", "ce_source", "ce_type")


def read_headers(record: InRecord, event_type: str) -> dict[str, str]:
    """Return the event's attributes and content type, by header name.

    Headers of other names are left alone: they belong to tracing or to other systems.

    Raises
    ------
    MissingHeaderError, MalformedHeaderError, UnknownTypeError
        If it is no CloudEvent of this type.
    """
    attributes = _attributes(record.headers)
    for name in REQUIRED:
        require(attributes, name)
    if attributes["ce_specversion"] != SPEC_VERSION:
        raise UnknownTypeError(
            f"header ce_specversion says {attributes['ce_specversion']!r}; only {SPEC_VERSION!r} is read"
        )
    if attributes["ce_type"] != event_type:
        raise UnknownTypeError(f"header ce_type says {attributes['ce_type']!r}; expected {event_type!r}")
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
            raise MalformedHeaderError(f"header {name!r} is given twice")
        if value is None:
            raise MalformedHeaderError(f"header {name!r} has a null value")
        try:
            attributes[name] = bytes(value).decode()
        except UnicodeDecodeError:
            raise MalformedHeaderError(f"header {name!r} is not UTF-8 text") from None
    return attributes
