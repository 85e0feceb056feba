import json

import numpy as np
import pytest

from stream.drift import Adwin, DriftDetector, PageHinkley
from tests.contracts.drift_detector import DriftDetectorContract, bernoulli, detections


class TestPageHinkley(DriftDetectorContract):
    def make(self) -> DriftDetector:
        return PageHinkley(delta=0.1, threshold=10.0)


class TestAdwin(DriftDetectorContract):
    def make(self) -> DriftDetector:
        return Adwin()


def test_page_hinkley_follows_the_definition() -> None:
    """Against sums and extremes computed at once: m_T - min m_t > threshold, and its mirror."""
    values = np.random.default_rng(0).normal(size=400)
    values[200:] += 1.5
    delta, threshold = 0.2, 15.0
    means = np.cumsum(values) / np.arange(1, len(values) + 1)
    up = np.cumsum(values - means - delta)
    down = np.cumsum(values - means + delta)
    rose = up - np.minimum(np.minimum.accumulate(up), 0) > threshold
    fell = np.maximum(np.maximum.accumulate(down), 0) - down > threshold
    expected = int(np.flatnonzero((rose | fell)[30:])[0]) + 30
    assert detections(PageHinkley(delta=delta, threshold=threshold), values)[0] == expected


def test_page_hinkley_may_look_in_one_direction() -> None:
    values = bernoulli(0, (0.8, 500), (0.1, 500))
    assert detections(PageHinkley(delta=0.1, threshold=10.0, direction="up"), values) == []
    assert detections(PageHinkley(delta=0.1, threshold=10.0, direction="down"), values)


def test_adwin_keeps_all_values_while_nothing_changes() -> None:
    detector = Adwin()
    values = np.random.default_rng(0).random(5000)
    assert detections(detector, values) == []
    assert detector.width == 5000
    assert detector.mean == pytest.approx(values.mean())
    # M buckets of each of about log2(5000 / M) sizes.
    assert len(detector._buckets) <= 5 * 12
    whole = detector._buckets[0]
    for bucket in detector._buckets[1:]:
        whole = whole.merged(bucket)
    assert whole.spread / whole.size == pytest.approx(values.var())


def test_adwin_forgets_what_was_before_the_change() -> None:
    detector = Adwin()
    detections(detector, bernoulli(2, (0.1, 2000), (0.9, 1000)))
    assert detector.width < 1300
    assert detector.mean == pytest.approx(0.9, abs=0.05)


def test_adwin_takes_shares_only() -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        Adwin().update(1.5)


@pytest.mark.parametrize("arguments", [{"delta": 0}, {"delta": 1}, {"check_every": 0}])
def test_adwin_refuses_senseless_parameters(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="delta"):
        Adwin(**arguments)


@pytest.mark.parametrize("arguments", [{"threshold": 0}, {"delta": -1}, {"minimum": 0}])
def test_page_hinkley_refuses_senseless_parameters(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="threshold"):
        PageHinkley(**arguments)


@pytest.mark.parametrize("cut", [10, 300, 450])
def test_page_hinkley_goes_on_from_where_it_was_written_down(cut: int) -> None:
    values = bernoulli(7, (0.2, 300), (0.8, 300))
    whole, first, second = (PageHinkley(delta=0.1, threshold=10.0) for _ in range(3))
    found = detections(first, values[:cut])
    second.restore(json.loads(json.dumps(first.state())))
    assert second.drift_detected == first.drift_detected
    assert found + [cut + i for i in detections(second, values[cut:])] == detections(whole, values)
    assert second.state() == whole.state()
