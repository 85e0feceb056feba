"""What an inspector would count: flaws that were found, and calls where there is none."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_TOUCHING = np.ones((3, 3), dtype=np.int8)


@dataclass(frozen=True, slots=True)
class Calls:
    """Indications of any number of frames; they add up.

    Attributes
    ----------
    flaws, hits : int
        True indications, connected by edge or corner, and those that a judged defect pixel lies on.
    false : int
        Judged indications without a true pixel.
    frames : int
        Frames counted.
    """

    flaws: int = 0
    hits: int = 0
    false: int = 0
    frames: int = 0

    @classmethod
    def of(cls, judged: NDArray[np.uint8], true: NDArray[np.uint8]) -> "Calls":
        """Count one frame: masks of one shape (H, W), whatever their classes."""
        truth, flaws = ndimage.label(true > 0, _TOUCHING)
        calls, called = ndimage.label(judged > 0, _TOUCHING)
        hits = len(np.unique(truth[(judged > 0) & (true > 0)]))
        right = len(np.unique(calls[(judged > 0) & (true > 0)]))
        return cls(int(flaws), hits, int(called) - right, 1)

    def __add__(self, other: "Calls") -> "Calls":
        """Return the counts of both."""
        return Calls(
            self.flaws + other.flaws, self.hits + other.hits, self.false + other.false, self.frames + other.frames
        )

    @property
    def hit_rate(self) -> float:
        """Share of the flaws that were hit; NaN where there was none."""
        return self.hits / self.flaws if self.flaws else float("nan")

    @property
    def false_per_frame(self) -> float:
        """False calls for each frame; NaN without a frame."""
        return self.false / self.frames if self.frames else float("nan")
