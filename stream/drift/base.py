"""What every drift detector offers."""

from typing import Protocol


class DriftDetector(Protocol):
    """Watches a statistic of a stream, one value at a time.

    After a detection the detector goes on by itself with what came after the change.
    """

    @property
    def drift_detected(self) -> bool:
        """Whether the last update found a change."""

    def update(self, x: float) -> None:
        """Take the next value.

        Raises
        ------
        ValueError
            If it is NaN, infinite, or outside the detector's range.
        """

    def reset(self) -> None:
        """Forget everything but the parameters."""
