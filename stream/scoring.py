"""Confusion counts that add up, and the scores made of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Confusion:
    """Pixels by true and judged class, summed over any number of frames.

    All scores are pooled (micro) over the frames. Where neither mask has a
    pixel of what is scored, the score is 1: a set without defects scores 1 if
    none is called, and 0 if any is.

    Attributes
    ----------
    counts : NDArray[np.int64]
        (K, K); ``counts[t, j]`` pixels of class t judged as j, 0 background.
    frames : int
        Frames counted.
    shown : NDArray[np.int64]
        (K,) frames whose true mask shows each class.
    """

    counts: NDArray[np.int64]
    frames: int
    shown: NDArray[np.int64]

    @classmethod
    def empty(cls, classes: int) -> Self:
        """Return the counts of no frame, for K mask values."""
        return cls(np.zeros((classes, classes), np.int64), 0, np.zeros(classes, np.int64))

    @classmethod
    def of(cls, judged: NDArray[np.uint8], true: NDArray[np.uint8], classes: int) -> Self:
        """Count one frame.

        Parameters
        ----------
        judged, true : NDArray[np.uint8]
            Masks of one shape (H, W).
        classes : int
            Mask values, the background included.

        Raises
        ------
        ValueError
            If the shapes differ or a mask value is not below ``classes``.
        """
        if judged.shape != true.shape:
            msg = f"masks differ in shape: judged {judged.shape}, true {true.shape}"
            raise ValueError(msg)
        highest = max(int(judged.max(initial=0)), int(true.max(initial=0)))
        if highest >= classes:
            msg = f"mask value {highest} is none of the {classes} known"
            raise ValueError(msg)
        pairs = np.bincount(true.ravel().astype(np.int64) * classes + judged.ravel(), minlength=classes * classes)
        counts = pairs.reshape(classes, classes).astype(np.int64)
        return cls(counts, 1, (counts.sum(axis=1) > 0).astype(np.int64))

    def __add__(self, other: "Confusion") -> "Confusion":
        """Return the counts of both."""
        return Confusion(self.counts + other.counts, self.frames + other.frames, self.shown + other.shown)

    def __sub__(self, other: "Confusion") -> "Confusion":
        """Return the counts without those of frames that are among them."""
        return Confusion(self.counts - other.counts, self.frames - other.frames, self.shown - other.shown)

    @property
    def dice_per_class(self) -> NDArray[np.float64]:
        """Dice of each class against all others: (K,)."""
        both = np.diagonal(self.counts)
        return _dice(both, self.counts.sum(axis=0), self.counts.sum(axis=1))

    @property
    def iou_per_class(self) -> NDArray[np.float64]:
        """Intersection over union of each class: (K,)."""
        dice = self.dice_per_class
        result: NDArray[np.float64] = dice / (2.0 - dice)
        return result

    @property
    def dice(self) -> float:
        """Dice of the defect pixels with their class: ``2 sum_c |J_c and T_c| / sum_c (|J_c| + |T_c|)``, c > 0."""
        both = np.diagonal(self.counts)[1:].sum()
        return float(_dice(both, self.counts[:, 1:].sum(), self.counts[1:].sum()))

    @property
    def foreground_dice(self) -> float:
        """Dice of "any defect" against none, whatever the class."""
        return float(_dice(self.counts[1:, 1:].sum(), self.counts[:, 1:].sum(), self.counts[1:].sum()))


def pooled(counts: Iterable[Confusion]) -> Confusion:
    """Return the counts of all frames of at least one."""
    first, *others = counts
    return sum(others, start=first)


def _dice(both: NDArray[np.int64], judged: NDArray[np.int64], true: NDArray[np.int64]) -> NDArray[np.float64]:
    size = np.asarray(judged + true, dtype=np.float64)
    return np.where(size > 0, 2.0 * np.asarray(both) / np.maximum(size, 1.0), 1.0)
