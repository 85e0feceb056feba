import contextlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import DriftAlarm, LabelledFrame
from schemas.errors import BadPayloadError, BadRecordError, MissingHeaderError, OversizeError, UnknownTypeError
from schemas.topics import ALERTS, DRIFT_ALARMS, LABELS
from stream.codec import decode_event, encode_event
from tests.unit.stream.samples import TIME, Record, arrived

ALARM = DriftAlarm(detector="adwin", statistic="entropy", domain="d", value=0.5, frame_id="f", detected_at=TIME)


def published() -> Record:
    return arrived(encode_event("t", DRIFT_ALARMS, ALARM, key="d", event_id="e1", source="s", time=TIME))


def test_events_survive_the_way() -> None:
    record = published()
    assert record.key == b"d"
    assert dict(record.headers)["content-type"] == b"application/json"
    assert decode_event(record, DRIFT_ALARMS, DriftAlarm) == ALARM


def test_a_payload_belongs_on_its_topic() -> None:
    with pytest.raises(TypeError, match="DriftAlarm"):
        encode_event("t", ALERTS, ALARM, key="d", event_id="e1", source="s", time=TIME)


def test_other_types_are_refused() -> None:
    with pytest.raises(UnknownTypeError, match="drift-alarm"):
        decode_event(published(), LABELS, LabelledFrame)


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b"\xff", b'{"detector": 1}', b"[" * 5000])
def test_bad_values_are_refused(value: bytes | None) -> None:
    with pytest.raises(BadPayloadError):
        decode_event(Record(value=value, headers=published().headers), DRIFT_ALARMS, DriftAlarm)


def test_faults_are_named() -> None:
    record = Record(value=ALARM.model_dump_json().replace("0.5", '"high"').encode(), headers=published().headers)
    with pytest.raises(BadPayloadError, match=r"value: .*number"):
        decode_event(record, DRIFT_ALARMS, DriftAlarm)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", '"nan"'])
def test_what_json_cannot_write_is_not_read(number: str) -> None:
    # It would be written as null, which nobody could read again.
    record = Record(value=ALARM.model_dump_json().replace("0.5", number).encode(), headers=published().headers)
    with pytest.raises(BadPayloadError, match="finite"):
        decode_event(record, DRIFT_ALARMS, DriftAlarm)


def test_a_payload_larger_than_its_topic_allows() -> None:
    value = ALARM.model_dump_json().encode()
    assert decode_event(replace(published(), value=value), DRIFT_ALARMS, DriftAlarm, max_bytes=len(value)) == ALARM
    with pytest.raises(OversizeError):
        decode_event(replace(published(), value=value), DRIFT_ALARMS, DriftAlarm, max_bytes=len(value) - 1)


def test_json_says_so() -> None:
    headers = tuple(h for h in published().headers if h[0] != "content-type")
    with pytest.raises(MissingHeaderError, match="content-type"):
        decode_event(Record(value=b"{}", headers=headers), DRIFT_ALARMS, DriftAlarm)
    with pytest.raises(BadPayloadError, match="text/plain"):
        decode_event(Record(value=b"{}", headers=(*headers, ("content-type", b"text/plain"))), DRIFT_ALARMS, DriftAlarm)


@settings(max_examples=100, deadline=None)
@given(value=st.none() | st.binary(max_size=100), cut=st.integers(0, 200))
def test_nothing_but_a_bad_record_error_comes_out_of_junk(value: bytes | None, cut: int) -> None:
    good = ALARM.model_dump_json().encode()
    for damaged in (value, good[:cut] + (value or b"")):
        record = Record(value=damaged, headers=published().headers)
        with contextlib.suppress(BadRecordError):
            assert isinstance(decode_event(record, DRIFT_ALARMS, DriftAlarm), DriftAlarm)
