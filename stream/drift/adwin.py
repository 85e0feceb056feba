"""ADWIN2: a window that shrinks when its older and newer parts differ.

References
----------
A. Bifet and R. Gavaldà (2007), Learning from time-changing data with adaptive
windowing, SIAM International Conference on Data Mining, 443-448.
"""

import math
from dataclasses import dataclass


@dataclass(slots=True)
class _Bucket:
    """A run of neighbouring values: how many, their sum, and their squared deviations from their mean."""

    size: int
    total: float
    spread: float

    def merged(self, other: "_Bucket") -> "_Bucket":
        gap = self.total / self.size - other.total / other.size
        size = self.size + other.size
        spread = self.spread + other.spread + gap * gap * self.size * other.size / size
        return _Bucket(size, self.total + other.total, spread)


class Adwin:
    """Keeps the longest window in which no two parts differ significantly, in logarithmic memory.

    Parameters
    ----------
    delta : float
        Confidence: bounds the probability of a false alarm; in (0, 1).
    check_every : int
        Values between two looks for a change.
    buckets_per_size : int
        The paper's M: higher finds the place of the change more exactly and costs more.
    shortest_part : int
        Values that each part of the window must have.

    Notes
    -----
    The bound assumes values in [0, 1].

    Examples
    --------
    >>> detector = Adwin()
    >>> for x in [0.0] * 200 + [1.0] * 32:
    ...     detector.update(x)
    ...     if detector.drift_detected:
    ...         break
    >>> detector.drift_detected, detector.mean > 0.9
    (True, True)
    """

    def __init__(
        self, *, delta: float = 0.002, check_every: int = 32, buckets_per_size: int = 5, shortest_part: int = 5
    ) -> None:
        if not (0 < delta < 1 and check_every >= 1 and buckets_per_size >= 1 and shortest_part >= 1):
            msg = "delta must be in (0, 1), the counts must be positive"
            raise ValueError(msg)
        self.delta = delta
        self.check_every = check_every
        self.buckets_per_size = buckets_per_size
        self.shortest_part = shortest_part
        self.reset()

    @property
    def drift_detected(self) -> bool:
        """Whether the last update found a change."""
        return self._detected

    @property
    def width(self) -> int:
        """Values in the window."""
        return sum(bucket.size for bucket in self._buckets)

    @property
    def mean(self) -> float:
        """Mean of the window; 0 while it is empty."""
        return sum(bucket.total for bucket in self._buckets) / max(self.width, 1)

    def reset(self) -> None:
        """Forget everything but the parameters."""
        self._detected = False
        self._since_check = 0
        self._buckets: list[_Bucket] = []  # oldest and largest first

    def update(self, x: float) -> None:
        """Take the next value, in [0, 1]."""
        if not 0 <= x <= 1:
            msg = f"{x} is not in [0, 1]"
            raise ValueError(msg)
        self._detected = False
        self._buckets.append(_Bucket(1, x, 0.0))
        self._compress()
        self._since_check += 1
        if self._since_check >= self.check_every:
            self._since_check = 0
            while self._has_cut():
                # The paper drops bucket by bucket until no cut is left.
                del self._buckets[0]
                self._detected = True

    def _compress(self) -> None:
        """Merge the two oldest buckets of a size wherever there is one too many."""
        end = len(self._buckets)
        while end > 0:
            size = self._buckets[end - 1].size
            start = end
            while start > 0 and self._buckets[start - 1].size == size:
                start -= 1
            if end - start <= self.buckets_per_size:
                return
            self._buckets[start : start + 2] = [self._buckets[start].merged(self._buckets[start + 1])]
            end = start + 1

    def _has_cut(self) -> bool:
        whole = self._buckets[0]
        for bucket in self._buckets[1:]:
            whole = whole.merged(bucket)
        if whole.size < 2 * self.shortest_part:
            return False
        variance = whole.spread / whole.size
        confidence = math.log(2 * math.log(whole.size) / self.delta)
        old_size, old_total = 0, 0.0
        for bucket in self._buckets[:-1]:
            old_size += bucket.size
            old_total += bucket.total
            new_size = whole.size - old_size
            if old_size < self.shortest_part:
                continue
            if new_size < self.shortest_part:
                return False
            # 1/m is the sum of inverses: m is half the harmonic mean of the parts' sizes.
            inverse = 1 / old_size + 1 / new_size
            bound = math.sqrt(2 * inverse * variance * confidence) + 2 / 3 * inverse * confidence
            if abs(old_total / old_size - (whole.total - old_total) / new_size) > bound:
                return True
        return False
