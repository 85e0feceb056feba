from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from learner.inspectors import Standings
from learner.telemetry import LearnerMetrics
from schemas.inspectors import InspectorStanding, Standing
from schemas.settings import KafkaSettings
from stream.inspectors import encode_standing
from stream.records import OutRecord
from tests.unit.learner.records import GIVEN, Record

KAFKA = KafkaSettings()


def decision(standing: Standing) -> OutRecord:
    made = InspectorStanding(
        inspector_id="mallory", standing=standing, reason="why", decided_by="person", decided_at=GIVEN
    )
    return encode_standing(KAFKA, made, source="/test")


def received(record: OutRecord) -> Record:
    return Record(topic=record.topic, key=record.key, value=record.value, headers=record.headers)


def test_the_newest_decision_counts() -> None:
    standings, metrics = Standings(), LearnerMetrics(CollectorRegistry())
    assert standings.of("mallory") is Standing.TRUSTED
    for standing in (Standing.QUARANTINED, Standing.TRUSTED, Standing.REVOKED):
        taken = standings.take(received(decision(standing)), metrics)
        assert taken is not None
        assert standings.of("mallory") is taken.standing is standing
    assert standings.revoked() == {"mallory"}


@pytest.mark.parametrize("value", [b"", b"{}", b"no decision", None])
def test_a_decision_that_cannot_be_read_counts_only_as_such(value: bytes | None) -> None:
    registry, standings = CollectorRegistry(), Standings()
    standings.take(received(decision(Standing.QUARANTINED)), metrics := LearnerMetrics(registry))
    assert standings.take(replace(received(decision(Standing.TRUSTED)), value=value), metrics) is None
    assert standings.of("mallory") is Standing.QUARANTINED
    counted = [m.samples for m in registry.collect() if m.name == "weldstream_learner_dead_letters"]
    assert sum(sample.value for samples in counted for sample in samples if sample.name.endswith("total")) == 1
