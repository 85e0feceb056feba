"""Point reflectors, and how the legs of the sound path fold them into the image."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reflectors:
    """Points that send sound back.

    Attributes
    ----------
    x_mm, z_mm : NDArray[np.float64]
        From the weld's centre line, and unfolded depth: beyond the wall
        thickness for sound that came by the back wall. Shape ``(n,)``.
    amplitude : NDArray[np.complex128]
        Relative to the reference reflector, shape ``(n,)``.
    """

    x_mm: Array
    z_mm: Array
    amplitude: NDArray[np.complex128]

    @classmethod
    def join(cls, *parts: Self) -> Self:
        """Return the points of all parts."""
        return cls(
            np.concatenate([p.x_mm for p in parts]),
            np.concatenate([p.z_mm for p in parts]),
            np.concatenate([p.amplitude for p in parts]).astype(np.complex128),
        )


def unfold(z_mm: Array, wall_mm: float, leg: int) -> Array:
    """Return the depth at which a point of the metal appears on a leg (1 direct, 2 by the back wall)."""
    return z_mm if leg == 1 else 2 * wall_mm - z_mm


def fold(z_mm: Array, wall_mm: float) -> Array:
    """Return the true depth of unfolded depths; inverse of :func:`unfold` on both legs."""
    return np.where(z_mm <= wall_mm, z_mm, 2 * wall_mm - z_mm)


def decibels(level: float) -> float:
    """Return the amplitude ratio of a level in dB."""
    return float(10.0 ** (level / 20))
