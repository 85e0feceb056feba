import pytest

from inference.flagging import FlaggingRule, draw
from inference.settings import FlaggingSettings
from schemas.judgements import Box, Indication
from schemas.labels import ReviewReason

BOX = Box(top_mm=0, left_mm=0, bottom_mm=1, right_mm=1)


def indication(area: float, confidence: float) -> Indication:
    return Indication(code=100, name="crack", area_mm2=area, box=BOX, confidence=confidence)


def settings(**changes: float) -> FlaggingSettings:
    return FlaggingSettings.model_validate({"min_area_mm2": 2, "min_confidence": 0.6, "audit_rate": 0} | changes)


@pytest.mark.parametrize(
    ("area", "confidence", "flagged"), [(2, 0.6, True), (1.9, 0.9, False), (50, 0.59, False), (50, 0.9, True)]
)
def test_defect_needs_area_and_confidence(area: float, confidence: float, flagged: bool) -> None:
    reasons = FlaggingRule(settings()).reasons("f", (indication(area, confidence),), 0)
    assert reasons == ((ReviewReason.DEFECT,) if flagged else ())


def test_all_reasons_are_given_and_audits_take_only_the_rest() -> None:
    rule = FlaggingRule(settings(audit_rate=1, min_uncertainty=0.5))
    assert rule.reasons("f", (indication(9, 0.9),), 0.5) == (ReviewReason.DEFECT, ReviewReason.UNCERTAIN)
    assert rule.reasons("f", (), 0.49) == (ReviewReason.AUDIT,)


def test_the_audit_repeats_itself_and_takes_its_share() -> None:
    rule = FlaggingRule(settings(audit_rate=0.1))
    chosen = [n for n in range(5000) if rule.reasons(f"frame-{n}", (), 0)]
    assert chosen == [n for n in range(5000) if rule.reasons(f"frame-{n}", (), 0)]
    # Five standard deviations of a binomial share.
    assert abs(len(chosen) - 500) < 5 * (5000 * 0.1 * 0.9) ** 0.5


def test_another_seed_chooses_others() -> None:
    assert [draw(0, f"{n}") < 0.5 for n in range(64)] != [draw(1, f"{n}") < 0.5 for n in range(64)]
    assert all(0 <= draw(0, f"{n}") < 1 for n in range(64))
