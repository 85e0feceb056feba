import pytest
from pydantic import ValidationError

from schemas import TOPICS, ClassTable, DefectClass, Frame
from tests.unit.stream.samples import make_frame


def test_class_codes_and_mask_values_belong_together() -> None:
    table = ClassTable()
    assert len(table) == 6
    for value in range(1, len(table)):
        assert table.index(table[value].code) == value
    with pytest.raises(IndexError):
        table[0]
    with pytest.raises(ValueError, match="tuple"):
        table.index(999)


def test_class_codes_are_unique() -> None:
    with pytest.raises(ValidationError, match="unique"):
        ClassTable(classes=(DefectClass(code=1, name="a"), DefectClass(code=1, name="b")))


def test_the_domain_is_derived_unless_given() -> None:
    frame = make_frame()
    assert frame.domain == "pa-1_5l64-a2_5mhz_p355-steel"
    assert Frame.model_validate(frame.model_dump() | {"domain": "mine"}).domain == "mine"


@pytest.mark.parametrize("change", [{"position_mm": float("nan")}, {"weld_id": "a b"}, {"time": "2026-01-01T00:00:00"}])
def test_senseless_frames_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Frame.model_validate(make_frame().model_dump() | change)


def test_topics_and_types_are_unique_and_versioned() -> None:
    assert len({topic.name for topic in TOPICS}) == len({topic.event_type for topic in TOPICS}) == len(TOPICS)
    assert all(topic.event_type.rpartition(".")[2] == "v1" for topic in TOPICS)
