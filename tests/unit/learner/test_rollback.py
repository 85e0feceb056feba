from datetime import UTC, datetime

import numpy as np
import pytest
from torch import nn

from learner.labels import Label
from learner.rollback import RollbackWatch
from learner.scores import FrameScores
from memory.samples import Sample
from stream.scoring import Confusion
from tests.unit.learner.records import Record

CLASSES = 3
NOW = datetime(2024, 5, 1, tzinfo=UTC)


def counts(dice: float) -> Confusion:
    """Counts of a frame with 100 defect pixels, of which a share is found and as many are invented."""
    found = round(100 * dice)
    table = np.zeros((CLASSES, CLASSES), np.int64)
    table[1, 1], table[1, 0], table[0, 1] = found, 100 - found, 100 - found
    return Confusion(table, 1, np.array([1, 1, 0]))


def label(number: int, *, served_by: int | None = None, served: float | None = None) -> Label:
    blank = np.zeros((4, 4), np.uint8)
    sample = Sample(f"label-{number}", "domain", "weld", blank, blank)
    given = None if served is None else counts(served)
    return Label(sample, Record(offset=number), "inspector", NOW, NOW, served_by, given)


class Scores(FrameScores):
    """A version that reaches the same Dice everywhere, and says how often it was asked."""

    def __init__(self, dice: float) -> None:
        super().__init__(nn.Identity(), CLASSES, 1)
        self._dice, self.asked = dice, 0

    def of(self, samples: object) -> list[Confusion]:
        assert isinstance(samples, list)
        self.asked += len(samples)
        return [counts(self._dice)] * len(samples)


def judged(number: int, version: int, dice: float) -> Label:
    return label(number, served_by=version, served=dice)


def test_parents_are_remembered_of_the_newest_versions_only() -> None:
    watch = RollbackWatch(window=1, margin=0.1)
    for version in range(2, 2002):
        watch.serves(version, parent=version - 1)
    watch.add(judged(0, 2, 0.7))
    assert not watch.due
    watch.add(judged(1, 2001, 0.7))
    assert watch.due


def test_a_window_outlives_releases_and_is_compared_with_what_served_before_it() -> None:
    watch = RollbackWatch(window=4, margin=0.1)
    watch.serves(2, parent=1)
    watch.add(judged(0, 2, 0.7))
    watch.add(judged(1, 2, 0.7))
    watch.serves(3, parent=2)
    watch.add(judged(2, 2, 0.7))
    assert not watch.due
    watch.add(judged(3, 3, 0.3))
    assert watch.due
    back = watch.compare({1: Scores(0.8)}.__getitem__)
    assert back is not None
    assert back.before == 1
    assert back.comparison.serving == pytest.approx(0.8)
    assert back.comparison.candidate == pytest.approx((0.7 * 3 + 0.3) / 4)
    assert back.comparison.samples == 4
    assert not back.comparison.passed
    assert not watch.due


@pytest.mark.parametrize(("dice", "passed"), [(0.71, True), (0.69, False)])
def test_the_margin_decides(dice: float, passed: bool) -> None:
    watch = RollbackWatch(window=1, margin=0.1)
    watch.serves(2, parent=1)
    watch.add(judged(0, 2, dice))
    back = watch.compare({1: Scores(0.8)}.__getitem__)
    assert back is not None
    assert back.comparison.passed is passed


def test_only_a_score_that_drops_asks_the_version_from_before() -> None:
    watch = RollbackWatch(window=2, margin=0.1)
    watch.serves(2, parent=1)
    before = Scores(0.5)
    found = []
    for number, dice in enumerate([0.6, 0.6, 0.55, 0.55, 0.3, 0.3]):
        watch.add(judged(number, 2, dice))
        if watch.due:
            found.append(watch.compare({1: before}.__getitem__))
    first, second, third = found
    assert first is not None
    assert first.comparison.passed
    assert second is None
    assert third is not None
    assert not third.comparison.passed
    assert before.asked == 4


@pytest.mark.parametrize("other", [label(0), judged(0, 1, 0.1), judged(0, 9, 0.1)])
def test_what_no_watched_release_judged_says_nothing(other: Label) -> None:
    watch = RollbackWatch(window=1, margin=0.1)
    watch.serves(2, parent=1)
    watch.add(other)
    assert not watch.due


def test_without_a_version_to_return_to_nothing_is_watched() -> None:
    watch = RollbackWatch(window=1, margin=0.1)
    watch.serves(1, parent=None)
    watch.add(judged(1, 1, 0.1))
    assert not watch.due


def test_a_roll_back_voids_the_window() -> None:
    watch = RollbackWatch(window=2, margin=0.1)
    watch.serves(2, parent=1)
    watch.add(judged(0, 2, 0.5))
    watch.serves(1, parent=None)
    watch.serves(3, parent=1)
    watch.add(judged(1, 2, 0.5))
    watch.add(judged(2, 3, 0.5))
    assert not watch.due
