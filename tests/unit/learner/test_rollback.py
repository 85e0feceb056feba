from datetime import UTC, datetime

import numpy as np
import pytest
from torch import nn

from learner.labels import Label
from learner.rollback import RollbackWatch
from learner.scores import FrameScores
from memory.samples import Sample
from stream.scoring import Confusion

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
    return Label(sample, 0, number, NOW, NOW, served_by, given)


class Scores(FrameScores):
    """A version that reaches the same Dice everywhere, and says how often it was asked."""

    def __init__(self, dice: float) -> None:
        super().__init__(nn.Identity(), CLASSES, 1)
        self._dice, self.asked = dice, 0

    def of(self, samples: object) -> list[Confusion]:
        assert isinstance(samples, list)
        self.asked += len(samples)
        return [counts(self._dice)] * len(samples)


def test_a_window_outlives_releases_and_is_compared_with_what_served_before_it() -> None:
    watch = RollbackWatch(window=4, margin=0.1)
    versions = {1: Scores(0.8), 2: Scores(0.7), 3: Scores(0.4), 4: Scores(0.2)}
    for number in range(4):
        version = 2 + number // 2
        if number % 2 == 0:
            watch.serves(version, parent=version - 1)
        watch.add(label(number))
        watch.score(versions[version])
        assert watch.due == (number == 3)
    back = watch.compare(versions.__getitem__)
    assert back.before == 1
    assert back.comparison.serving == pytest.approx(0.8)
    assert back.comparison.candidate == pytest.approx((0.7 + 0.4) / 2)
    assert back.comparison.samples == 4
    assert not back.comparison.passed
    assert not watch.due


@pytest.mark.parametrize(("dice", "passed"), [(0.71, True), (0.69, False)])
def test_the_margin_decides(dice: float, passed: bool) -> None:
    watch = RollbackWatch(window=1, margin=0.1)
    watch.serves(2, parent=1)
    watch.add(label(0))
    watch.score(Scores(dice))
    assert watch.compare({1: Scores(0.8)}.__getitem__).comparison.passed is passed


def test_what_the_serving_version_published_is_not_judged_again() -> None:
    watch = RollbackWatch(window=2, margin=0.1)
    watch.serves(2, parent=1)
    serving = Scores(0.9)
    watch.add(label(0, served_by=2, served=0.3))
    watch.add(label(1, served_by=1, served=0.3))
    watch.score(serving)
    assert serving.asked == 1
    assert watch.compare({1: Scores(0.5)}.__getitem__).comparison.candidate == pytest.approx(0.6)


def test_without_a_version_to_return_to_nothing_is_watched() -> None:
    watch = RollbackWatch(window=1, margin=0.1)
    watch.add(label(0))
    watch.serves(1, parent=None)
    watch.add(label(1))
    assert not watch.unscored
    assert not watch.due


def test_a_roll_back_voids_the_window() -> None:
    watch = RollbackWatch(window=2, margin=0.1)
    watch.serves(2, parent=1)
    watch.add(label(0))
    watch.score(Scores(0.5))
    watch.add(label(1))
    watch.serves(1, parent=None)
    assert not watch.unscored
    watch.serves(3, parent=1)
    watch.add(label(2))
    watch.score(Scores(0.5))
    assert not watch.due


def test_more_labels_at_once_than_a_window_holds_leave_the_newest() -> None:
    watch = RollbackWatch(window=2, margin=0.1)
    watch.serves(2, parent=1)
    for number in range(5):
        watch.add(label(number))
    serving = Scores(0.5)
    watch.score(serving)
    assert serving.asked == 2
