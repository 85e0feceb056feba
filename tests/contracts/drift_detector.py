"""What every drift detector must do, whatever its method."""

from abc import ABC, abstractmethod

import numpy as np
import pytest

from stream.drift import DriftDetector


def detections(detector: DriftDetector, values: np.ndarray) -> list[int]:
    found = []
    for index, value in enumerate(values):
        detector.update(float(value))
        if detector.drift_detected:
            found.append(index)
    return found


def bernoulli(seed: int, *parts: tuple[float, int]) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate([(rng.random(length) < p).astype(float) for p, length in parts])


class DriftDetectorContract(ABC):
    """Subclass it as ``Test...`` and say how to build the detector for values in [0, 1]."""

    latest = 200
    """Values after a step from 0.2 to 0.8 within which it must be found."""
    false_alarms = 2
    """Most alarms in 20 stationary streams of 1000 values."""

    @abstractmethod
    def make(self) -> DriftDetector: ...

    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize(("before", "after"), [(0.2, 0.8), (0.8, 0.2)], ids=["up", "down"])
    def test_a_step_is_found_soon_after_it(self, seed: int, before: float, after: float) -> None:
        found = detections(self.make(), bernoulli(seed, (before, 1000), (after, 500)))
        assert any(1000 <= index < 1000 + self.latest for index in found)

    def test_stationary_noise_hardly_ever_alarms(self) -> None:
        alarms = sum(len(detections(self.make(), bernoulli(seed, (0.3, 1000)))) for seed in range(20))
        assert alarms <= self.false_alarms

    def test_a_constant_never_alarms(self) -> None:
        assert detections(self.make(), np.full(2000, 0.5)) == []

    def test_it_goes_on_after_a_detection(self) -> None:
        found = detections(self.make(), bernoulli(1, (0.1, 600), (0.9, 600), (0.1, 600)))
        assert any(600 <= index < 600 + self.latest for index in found)
        assert any(1200 <= index < 1200 + self.latest for index in found)

    def test_reset_forgets_everything(self) -> None:
        values = bernoulli(3, (0.2, 300), (0.8, 300))
        used = self.make()
        first = detections(used, values)
        used.reset()
        assert not used.drift_detected
        assert detections(used, values) == first

    def test_the_same_values_give_the_same_detections(self) -> None:
        values = bernoulli(4, (0.2, 500), (0.7, 500))
        assert detections(self.make(), values) == detections(self.make(), values)

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    def test_values_that_are_no_numbers_are_refused(self, value: float) -> None:
        with pytest.raises(ValueError, match="not"):
            self.make().update(value)
