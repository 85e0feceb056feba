import pytest

from inference.alerts import AlertRule
from inference.settings import AlertSettings
from schemas.events import DefectAlert
from schemas.judgements import Box, Indication, Judgement, ModelRef, RecordPosition
from schemas.welds import Stretch
from stream.codec import encode_raster
from stream.preprocessing import VERSION
from tests.unit.inference.tiny import CLASSES, NOW, scan

BOX = Box(top_mm=0, left_mm=0, bottom_mm=1, right_mm=1)


def judgement(frame: str, position: float, *codes: int, weld: str = "w", area: float = 5) -> Judgement:
    return Judgement.model_construct(
        frame_id=frame,
        weld_id=weld,
        position_mm=position,
        frame_time=NOW,
        domain="d",
        source=RecordPosition(topic="t", partition=0, offset=0),
        pixels_sha256="0" * 64,
        model=ModelRef(name="weld", version=1, digest="0" * 64),
        preprocessing=VERSION,
        judged_at=NOW,
        mask=encode_raster(scan()),
        classes=CLASSES.codes,
        indications=tuple(
            Indication(code=c, name="n", area_mm2=area - i, box=BOX, confidence=0.9) for i, c in enumerate(codes)
        ),
        uncertainty=0.0,
        flagged=True,
        latency_seconds=0.0,
        compute_seconds=0.0,
    )


class Welds:
    """The rule with the stretches of each weld."""

    def __init__(self) -> None:
        self._rule = AlertRule(AlertSettings(min_area_mm2=2, min_confidence=0.7, merge_distance_mm=5))
        self.stretches: dict[str, list[Stretch]] = {}

    def observe(self, judgement: Judgement) -> tuple[DefectAlert, ...]:
        return self._rule.observe(judgement, self.stretches.setdefault(judgement.weld_id, []))


@pytest.fixture
def rule() -> Welds:
    return Welds()


def test_one_alert_along_a_stretch(rule: Welds) -> None:
    raised = [rule.observe(judgement(f"f{n}", float(4 * n), 100)) for n in range(10)]
    assert [len(alerts) for alerts in raised] == [1] + [0] * 9
    assert raised[0][0].frame_id == "f0"


def test_a_gap_begins_a_new_one(rule: Welds) -> None:
    assert rule.observe(judgement("a", 0, 100))
    assert not rule.observe(judgement("b", 5, 100))
    assert rule.observe(judgement("c", 10.1, 100))


def test_classes_and_welds_are_apart(rule: Welds) -> None:
    first = rule.observe(judgement("a", 0, 100, 401, 100))
    assert sorted(alert.code for alert in first) == [100, 401]
    assert first[0].area_mm2 == 5
    other = rule.observe(judgement("x", 0, 100, weld="other"))
    assert len(other) == 1
    assert len({alert.alert_id for alert in (*first, *other)}) == 3


def test_small_indications_raise_nothing_and_extend_nothing(rule: Welds) -> None:
    assert rule.observe(judgement("a", 0, 100))
    assert not rule.observe(judgement("b", 4, 100, area=1.9))
    assert rule.observe(judgement("c", 8, 100))


def test_a_stretch_read_backwards_is_one(rule: Welds) -> None:
    assert [len(rule.observe(judgement(f"f{n}", -4.0 * n, 100))) for n in range(5)] == [1, 0, 0, 0, 0]


def test_stretches_that_meet_become_one(rule: Welds) -> None:
    assert rule.observe(judgement("a", 0, 100))
    assert rule.observe(judgement("b", 10, 100))
    assert not rule.observe(judgement("c", 5, 100))
    (stretch,) = rule.stretches["w"]
    assert (stretch.first_frame, stretch.start_mm, stretch.end_mm) == ("a", 0, 10)


def test_who_goes_on_with_a_weld_alerts_nothing_again(rule: Welds) -> None:
    assert rule.observe(judgement("a", 0, 100))
    successor = Welds()
    successor.stretches["w"] = list(rule.stretches["w"])
    assert not successor.observe(judgement("b", 4, 100))
