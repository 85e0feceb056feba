"""What is done to pixels before the network sees them; training and serving share it."""

from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

VERSION = "standard-1"
"""Changes whenever the same pixels would be prepared differently."""

Scalar = TypeVar("Scalar", bound=np.generic)
Pixels: TypeAlias = "NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]"

CLIP = 8.0
"""Standard deviations beyond which an amplitude says nothing more; keeps a dead pixel from ruling the frame."""

EPSILON = 1e-6


def prepare(pixels: Pixels) -> NDArray[np.float32]:
    """Standardise a frame by its own mean and deviation.

    The receiver gain and the sample type scale all amplitudes of a frame
    alike; standardising removes both, so one network reads every instrument.

    Parameters
    ----------
    pixels : ndarray
        (H, W), uint8, uint16 or float32, finite.

    Returns
    -------
    ndarray
        (H, W) float32 in [-8, 8]; zeros for a constant frame.
    """
    scaled = pixels.astype(np.float32)
    if pixels.dtype == np.float32:
        # Amplitudes up to the largest float32 must not overflow when squared.
        peak = float(np.abs(scaled).max())
        if peak > 0:
            scaled /= np.float32(peak)
    # dtype=float64 sums exactly enough for 16-bit samples of any frame size.
    mean = scaled.mean(dtype=np.float64)
    scaled -= np.float32(mean)
    deviation = float(np.sqrt(np.einsum("ij,ij->", scaled, scaled, dtype=np.float64) / scaled.size))
    if deviation <= EPSILON * max(1.0, abs(float(mean))):
        return np.zeros_like(scaled)
    scaled *= np.float32(1.0 / deviation)
    return np.clip(scaled, -CLIP, CLIP, out=scaled)


def pad_to_multiple(images: NDArray[np.float32], multiple: int) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Repeat the last row and column until both sizes are multiples of a number.

    Parameters
    ----------
    images : ndarray
        (N, H, W) float32.
    multiple : int
        What the network's strides need.

    Returns
    -------
    padded : ndarray
        (N, H', W') float32; the input itself where nothing is missing.
    size : tuple of int
        (H, W), for :func:`crop`.
    """
    height, width = images.shape[-2:]
    rows, columns = -height % multiple, -width % multiple
    if rows or columns:
        images = np.pad(images, ((0, 0), (0, rows), (0, columns)), mode="edge")
    return images, (height, width)


def crop(images: NDArray[Scalar], size: tuple[int, int]) -> NDArray[Scalar]:
    """Undo :func:`pad_to_multiple` on what came out: ``(..., H', W')`` to ``(..., H, W)``, a view."""
    height, width = size
    return images[..., :height, :width]
