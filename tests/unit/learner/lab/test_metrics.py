"""Against numbers worked out by hand."""

import math

import numpy as np
import pytest

from learner.lab import metrics
from learner.lab.metrics import Look

# Three domains; the first row is before anything was learned.
R = np.array(
    [
        [0.1, 0.2, 0.1],
        [0.9, 0.3, 0.2],
        [0.5, 0.8, 0.4],
        [0.6, 0.7, 0.95],
    ]
)


def test_average_is_the_mean_of_the_last_row() -> None:
    assert metrics.average(R) == pytest.approx((0.6 + 0.7 + 0.95) / 3)


def test_learning_is_the_mean_of_the_diagonal() -> None:
    assert metrics.learning(R) == pytest.approx((0.9 + 0.8 + 0.95) / 3)


def test_backward_transfer_leaves_the_last_domain_out() -> None:
    assert metrics.backward_transfer(R) == pytest.approx(((0.6 - 0.9) + (0.7 - 0.8)) / 2)


def test_forward_transfer_is_the_gain_just_before_a_domain_is_learned() -> None:
    assert metrics.forward_transfer(R) == pytest.approx(((0.3 - 0.2) + (0.4 - 0.1)) / 2)


def test_forgetting_is_from_the_best_and_not_from_the_first() -> None:
    better_later = R.copy()
    better_later[2, 0] = 0.92
    assert metrics.forgetting(R) == pytest.approx(((0.9 - 0.6) + (0.8 - 0.7)) / 2)
    assert metrics.forgetting(better_later) == pytest.approx(((0.92 - 0.6) + (0.8 - 0.7)) / 2)


def test_a_domain_that_got_better_was_not_forgotten() -> None:
    matrix = np.array([[0.0, 0.0], [0.5, 0.0], [0.7, 0.9]])
    assert metrics.forgetting(matrix) == pytest.approx(-0.2)


def test_one_domain_has_nothing_to_transfer_or_to_forget() -> None:
    single = np.array([[0.1], [0.9]])
    assert metrics.average(single) == 0.9
    assert all(
        math.isnan(score(single)) for score in (metrics.backward_transfer, metrics.forward_transfer, metrics.forgetting)
    )


LOOKS = [
    Look(10, 0, [0.4]),  # while domain 0 is learned nothing of it is past
    Look(20, 0, [0.9], ended=True),
    Look(30, 1, [0.5, 0.3]),  # the gap
    Look(40, 1, [0.8, 0.85], ended=True),
    Look(50, 2, [0.7, 0.6, 0.2]),
    Look(60, 2, [0.75, 0.8, 0.9], ended=True),
]


def test_min_accuracy_counts_from_when_a_domain_was_learned() -> None:
    assert metrics.min_accuracy(LOOKS) == pytest.approx((0.5 + 0.6) / 2)


def test_worst_case_accuracy_weighs_the_newest_domain_as_one_of_all() -> None:
    assert metrics.worst_case_accuracy(LOOKS) == pytest.approx(0.9 / 3 + (2 / 3) * (0.5 + 0.6) / 2)


def test_regret_is_from_the_best_served_before_on_a_past_domain() -> None:
    served = [
        Look(10, 0, [0.8]),
        Look(20, 0, [0.6]),  # the domain is still being learned: no regret
        Look(30, 1, [0.7, 0.2]),  # 0.1 under the best served before
        Look(40, 1, [0.85, 0.9]),
        Look(50, 2, [0.82, 0.6, 0.5]),  # 0.3 on domain 1
        Look(60, 2, [0.9, 0.7, 0.1]),
    ]
    assert metrics.served_regret(served) == pytest.approx(0.3)
    assert metrics.served_regret(served[:4]) == pytest.approx(0.1)
    assert metrics.served_regret(served[:2]) == 0.0


def test_mean_and_error_are_those_of_the_sample() -> None:
    mean, error = metrics.mean_and_error([1.0, 2.0, 3.0])
    assert (mean, error) == (pytest.approx(2.0), pytest.approx(1 / math.sqrt(3)))
    assert math.isnan(metrics.mean_and_error([1.0])[1])
