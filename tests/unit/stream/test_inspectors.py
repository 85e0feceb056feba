from datetime import UTC, datetime

from schemas.inspectors import InspectorStanding, Standing
from schemas.settings import KafkaSettings
from stream.inspectors import decode_standing, encode_standing
from tests.unit.stream.samples import arrived

GIVEN = datetime(2024, 5, 1, 12, tzinfo=UTC)


def test_a_decision_comes_back_as_it_was_made_under_its_inspector_as_key() -> None:
    made = InspectorStanding(
        inspector_id="mallory", standing=Standing.QUARANTINED, reason="why", decided_by="learner", decided_at=GIVEN
    )
    record = encode_standing(KafkaSettings(topic_prefix="t."), made, source="/test")
    assert (record.topic, record.key) == ("t.inspector-standings", b"mallory")
    assert decode_standing(arrived(record)) == made
