"""The Page-Hinkley test for a change of the mean.

References
----------
E. S. Page (1954), Continuous inspection schemes, Biometrika 41(1/2), 100-115.
D. V. Hinkley (1971), Inference about the change-point from cumulative sum tests, Biometrika 58(3), 509-523.
"""

import math
from collections.abc import Mapping
from typing import Literal

_STANDING = ("_detected", "_count", "_mean", "_up", "_lowest", "_down", "_highest")


class PageHinkley:
    """Signals when the cumulative deviation from the running mean leaves its own extreme by a threshold.

    Parameters
    ----------
    delta : float
        Deviation that is tolerated, in units of the values.
    threshold : float
        Cumulative deviation that is a change, in the same units; higher means
        fewer false alarms and later detection.
    minimum : int
        Values seen before anything is signalled.
    direction : {"up", "down", "both"}
        Changes that count.

    Examples
    --------
    >>> detector = PageHinkley(delta=0.05, threshold=2.0, minimum=10)
    >>> for x in [0.0] * 50 + [1.0] * 5:
    ...     detector.update(x)
    ...     if detector.drift_detected:
    ...         break
    >>> detector.drift_detected
    True
    """

    def __init__(
        self,
        *,
        delta: float = 0.005,
        threshold: float = 50.0,
        minimum: int = 30,
        direction: Literal["up", "down", "both"] = "both",
    ) -> None:
        if not (delta >= 0 and threshold > 0 and minimum >= 1):
            msg = "delta must not be negative, threshold and minimum must be positive"
            raise ValueError(msg)
        self.delta = delta
        self.threshold = threshold
        self.minimum = minimum
        self.direction = direction
        self.reset()

    @property
    def drift_detected(self) -> bool:
        """Whether the last update found a change."""
        return self._detected

    def reset(self) -> None:
        """Forget everything but the parameters."""
        self._detected = False
        self._count = 0
        self._mean = 0.0
        self._up = self._lowest = 0.0
        self._down = self._highest = 0.0

    def state(self) -> dict[str, float]:
        """Return where the test stands, for whoever writes it down; the parameters are not in it."""
        return {name: float(getattr(self, name)) for name in _STANDING}

    def restore(self, state: Mapping[str, float]) -> None:
        """Go on from what :meth:`state` returned."""
        for name in _STANDING:
            setattr(self, name, state[name])
        self._count, self._detected = int(self._count), bool(self._detected)

    def update(self, x: float) -> None:
        """Take the next value, any finite number."""
        if not math.isfinite(x):
            msg = f"{x} is not finite"
            raise ValueError(msg)
        if self._detected:
            self.reset()
        self._count += 1
        self._mean += (x - self._mean) / self._count
        deviation = x - self._mean
        self._up += deviation - self.delta
        self._lowest = min(self._lowest, self._up)
        self._down += deviation + self.delta
        self._highest = max(self._highest, self._down)
        if self._count < self.minimum:
            return
        rose = self.direction != "down" and self._up - self._lowest > self.threshold
        fell = self.direction != "up" and self._highest - self._down > self.threshold
        self._detected = rose or fell
