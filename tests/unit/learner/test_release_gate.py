import numpy as np
import pytest

from learner.release_gate import GOLDEN, PAST, GateConfig, ReleaseGate
from schemas import ClassTable
from stream.scoring import Confusion

TABLE = ClassTable()


def counts(right: int, wrong: int, frames: int = 10, value: int = 1) -> list[Confusion]:
    """Frames alike, with so many defect pixels found and missed in each."""
    matrix = np.zeros((6, 6), np.int64)
    matrix[value, value], matrix[value, 0], matrix[0, 0] = right, wrong, 1000
    shown = np.zeros(6, np.int64)
    shown[[0, value]] = 1
    return [Confusion(matrix, 1, shown)] * frames


def judge(serving: list[Confusion], candidate: list[Confusion], domain: str = "a") -> list[str]:
    gate = ReleaseGate(GateConfig(), TABLE)
    verdict = gate.judge({GOLDEN: {domain: serving}}, {GOLDEN: {domain: candidate}})
    assert verdict.passed == all(c.passed for c in verdict.comparisons)
    return [c.group for c in verdict.comparisons if not c.passed]


def test_a_better_or_equal_candidate_passes() -> None:
    assert judge(counts(80, 20), counts(90, 10)) == []
    assert judge(counts(80, 20), counts(80, 20)) == []


def test_a_worse_candidate_is_refused_for_each_group() -> None:
    assert judge(counts(80, 20), counts(50, 50)) == ["all", "domain:a", "class:100"]


def test_too_few_samples_decide_nothing() -> None:
    assert judge(counts(80, 20, frames=3), counts(0, 100, frames=3)) == []


def test_one_domain_cannot_pay_for_another() -> None:
    gate = ReleaseGate(GateConfig(), TABLE)
    serving = {PAST: {"a": counts(50, 50), "b": counts(80, 20)}}
    candidate = {PAST: {"a": counts(100, 0), "b": counts(70, 30)}}
    verdict = gate.judge(serving, candidate, seconds=0.5)
    assert not verdict.passed
    assert [c.group for c in verdict.comparisons if not c.passed] == ["domain:b"]
    assert verdict.seconds == 0.5


def test_other_samples_cannot_be_compared() -> None:
    gate = ReleaseGate(GateConfig(), TABLE)
    with pytest.raises(ValueError, match="same samples"):
        gate.judge({GOLDEN: {"a": counts(1, 1, frames=5)}}, {GOLDEN: {"a": counts(1, 1, frames=6)}})


def test_a_single_frame_refuses_nothing_two_do() -> None:
    found, missed, empty = counts(100, 0, 1), counts(0, 100, 1), counts(0, 0, 6)
    assert judge(found * 2 + empty, found + missed + empty) == []
    assert judge(found * 3 + empty, found + missed * 2 + empty) == ["all", "domain:a", "class:100"]


def test_the_verdict_tells_the_drop_that_decided() -> None:
    gate = ReleaseGate(GateConfig(), TABLE)
    serving, candidate = counts(100, 0, 3), counts(100, 0, 1) + counts(0, 100, 2)
    comparison = gate.judge({GOLDEN: {"a": serving}}, {GOLDEN: {"a": candidate}}).comparisons[0]
    assert (comparison.serving, comparison.candidate) == (1.0, pytest.approx(0.5))
    assert comparison.drop == pytest.approx(1 - 2 * 100 / 300)
