"""Dead letters: a record that cannot be processed, byte for byte, with the reason in headers behind its own."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.errors import BadPayloadError, WeldstreamError
from schemas.settings import KafkaSettings
from schemas.topics import DEAD_LETTERS
from stream.records import Headers, InRecord, OutRecord

TOPIC, PARTITION, OFFSET = "wsdl_topic", "wsdl_partition", "wsdl_offset"
REASON, MESSAGE, ATTEMPTS, FAILED_AT = "wsdl_reason", "wsdl_message", "wsdl_attempts", "wsdl_failedat"
EMPTY = "wsdl_empty"
REQUEUES = "wsdl_requeues"

ADDED = (TOPIC, PARTITION, OFFSET, REASON, MESSAGE, ATTEMPTS, FAILED_AT, EMPTY)
"""Headers appended to the original ones, in this order."""

_MESSAGE_LIMIT = 2000
_COUNT_DIGITS = 9


def utc_now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter, read.

    Attributes
    ----------
    topic, partition, offset : str, int, int
        Where the original record lay; the topic's full name.
    reason : str
        Machine-readable, see :mod:`schemas.errors`.
    message : str
        For people.
    attempts : int
        How often processing was tried.
    failed_at : datetime
        When it was given up.
    original : OutRecord
        The record as it was, addressed to its own topic.
    """

    topic: str
    partition: int
    offset: int
    reason: str
    message: str
    attempts: int
    failed_at: datetime
    original: OutRecord


def dead_letter(
    record: InRecord,
    error: BaseException,
    attempts: int,
    kafka: KafkaSettings,
    *,
    clock: Callable[[], datetime] = utc_now,
) -> OutRecord:
    """Turn a record that failed into a dead letter.

    Parameters
    ----------
    record : InRecord
        As it was consumed; key, value and headers are kept byte for byte.
    error : BaseException
        Why it failed. Errors that are not ours count as ``internal_error``.
    attempts : int
        How often processing was tried.
    kafka : KafkaSettings
        Names the dead letters' topic.
    clock : callable
        Returns the time.
    """
    reason = error.reason if isinstance(error, WeldstreamError) else WeldstreamError.reason
    message = str(error) or type(error).__name__
    # The client refuses a record that has neither key nor value, so such a one gets an empty value and a note.
    empty = record.key is None and record.value is None
    added = {
        TOPIC: record.topic,
        PARTITION: str(record.partition),
        OFFSET: str(record.offset),
        REASON: reason,
        MESSAGE: message[:_MESSAGE_LIMIT],
        ATTEMPTS: str(attempts),
        FAILED_AT: clock().isoformat(),
        EMPTY: "true" if empty else "false",
    }
    return OutRecord(
        topic=kafka.topic(DEAD_LETTERS),
        key=record.key,
        value=b"" if empty else record.value,
        headers=(
            *((name, None if value is None else bytes(value)) for name, value in record.headers),
            *((name, value.encode(errors="replace")) for name, value in added.items()),
        ),
    )


def read_dead_letter(record: InRecord) -> DeadLetter:
    """Read a dead letter.

    Raises
    ------
    BadPayloadError
        If the record is none: a stranger wrote to the topic.
    """
    # By position, not by name: the original headers may have had the same names.
    mine = dict(record.headers[-len(ADDED) :])
    if tuple(mine) != ADDED:
        raise BadPayloadError(f"the record at {record.partition}:{record.offset} is no dead letter")
    try:
        text = {name: (value or b"").decode() for name, value in mine.items()}
        value = None if text[EMPTY] == "true" else record.value
        original = OutRecord(text[TOPIC], record.key, value, tuple(record.headers[: -len(ADDED)]))
        return DeadLetter(
            topic=text[TOPIC],
            partition=int(text[PARTITION]),
            offset=int(text[OFFSET]),
            reason=text[REASON],
            message=text[MESSAGE],
            attempts=int(text[ATTEMPTS]),
            failed_at=datetime.fromisoformat(text[FAILED_AT]),
            original=original,
        )
    except ValueError as error:
        raise BadPayloadError(f"the record at {record.partition}:{record.offset} is no readable dead letter") from error


def requeued(letter: DeadLetter) -> OutRecord:
    """Return the original record for its own topic, counting in one header how often it was requeued.

    Raises
    ------
    BadPayloadError
        If the original had neither key nor value: there is nothing to send.
    """
    original = letter.original
    if original.key is None and original.value is None:
        raise BadPayloadError(f"{letter.topic} {letter.partition}:{letter.offset} was empty; it cannot be sent again")
    kept = tuple((name, value) for name, value in original.headers if name != REQUEUES)
    count = requeues(original.headers) + 1
    return OutRecord(original.topic, original.key, original.value, (*kept, (REQUEUES, str(count).encode())))


def requeues(headers: Headers) -> int:
    """Return how often a record was requeued; 0 where nothing readable says so."""
    for name, value in headers:
        if name == REQUEUES and value is not None and value.isdigit() and len(value) <= _COUNT_DIGITS:
            return int(value)
    return 0
