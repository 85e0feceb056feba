from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import BadPayloadError, MissingHeaderError
from schemas.settings import KafkaSettings
from stream.dead_letters import ADDED, REASON, REQUEUES, dead_letter, read_dead_letter, requeued, requeues
from stream.records import OutRecord
from tests.unit.stream.samples import TIME, Record, arrived

KAFKA = KafkaSettings(topic_prefix="p.")


def buried(record: Record, error: Exception | None = None, attempts: int = 1) -> OutRecord:
    return dead_letter(
        record, error or MissingHeaderError("header ce_id is missing"), attempts, KAFKA, clock=lambda: TIME
    )


values = st.none() | st.binary(max_size=20)
records = st.builds(
    Record,
    key=values,
    value=values,
    headers=st.lists(st.tuples(st.text(max_size=8) | st.sampled_from(ADDED), values), max_size=5).map(tuple),
)


@settings(deadline=None)
@given(record=records)
def test_the_original_survives_byte_for_byte(record: Record) -> None:
    """Whatever headers it had, ours and repeated and null ones included."""
    letter = read_dead_letter(arrived(buried(record)))
    assert letter.original == OutRecord(record.topic, record.key, record.value, record.headers)


@settings(deadline=None)
@given(record=records)
def test_a_dead_letter_can_always_be_sent(record: Record) -> None:
    out = buried(record)
    assert out.key is not None or out.value is not None


def test_the_reason_is_in_the_headers() -> None:
    out = buried(Record(value=b"x"), attempts=3)
    assert out.topic == "p.dead-letters"
    assert dict(out.headers)[REASON] == b"missing_header"
    letter = read_dead_letter(arrived(out))
    assert (letter.topic, letter.partition, letter.offset) == ("test.frames", 2, 41)
    assert (letter.reason, letter.message, letter.attempts) == ("missing_header", "header ce_id is missing", 3)
    assert letter.failed_at == TIME


def test_errors_of_others_are_internal() -> None:
    letter = read_dead_letter(arrived(buried(Record(value=b"x"), ZeroDivisionError())))
    assert (letter.reason, letter.message) == ("internal_error", "ZeroDivisionError")


def test_long_and_odd_messages_fit() -> None:
    letter = read_dead_letter(arrived(buried(Record(value=b"x"), ValueError("\udcff" * 9000))))
    assert len(letter.message) == 2000


def test_the_clock_has_a_time_zone() -> None:
    letter = read_dead_letter(arrived(dead_letter(Record(value=b"x"), ValueError("x"), 1, KAFKA)))
    assert isinstance(letter.failed_at, datetime)
    assert letter.failed_at.tzinfo is not None


@pytest.mark.parametrize(
    "headers", [(), tuple((name, b"x") for name in ADDED), tuple((name, b"\xff") for name in ADDED)]
)
def test_records_of_strangers_are_refused(headers: tuple[tuple[str, bytes], ...]) -> None:
    with pytest.raises(BadPayloadError, match="2:41"):
        read_dead_letter(Record(value=b"x", headers=headers))


def test_requeued_records_count_how_often() -> None:
    record = Record(key=b"k", value=b"v", headers=(("a", b"1"),))
    once = requeued(read_dead_letter(arrived(buried(record))))
    assert once == OutRecord("test.frames", b"k", b"v", (("a", b"1"), (REQUEUES, b"1")))
    twice = requeued(read_dead_letter(arrived(buried(arrived(once)))))
    assert twice.headers == (("a", b"1"), (REQUEUES, b"2"))
    assert requeues(twice.headers) == 2
    assert requeues(((REQUEUES, b"many"),)) == 0
    assert requeues(((REQUEUES, b"9" * 5000),)) == 0


def test_an_empty_record_cannot_be_requeued() -> None:
    with pytest.raises(BadPayloadError, match="empty"):
        requeued(read_dead_letter(arrived(buried(Record()))))
