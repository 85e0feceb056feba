"""What makes a new domain of the same images: pixels in another order, or turned."""

from typing import Protocol

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

OUTSIDE = -1


class Transform(Protocol):
    """From stored images to those that are learned."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return images (N, ...) float32 made of images (N, ...) float32."""
        ...


class Identity:
    """Images as they are stored."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return the images."""
        return images


AS_STORED = Identity()


class Gather:
    """Every pixel is another pixel, or black.

    Parameters
    ----------
    source : Tensor
        (H * W,) int64: for each pixel the one that it shows, -1 for none.
    """

    def __init__(self, source: Tensor) -> None:
        self._source = source.clamp(min=0)
        self._shown = source != OUTSIDE
        self._all = bool(self._shown.all())

    def __call__(self, images: Tensor) -> Tensor:
        """Return images of the same shape (N, H, W)."""
        flat = images.flatten(1)[:, self._source]
        return (flat if self._all else flat * self._shown).view_as(images)


class Mix:
    """Every pixel is a weighted sum of pixels.

    Parameters
    ----------
    weights : Tensor
        (H * W, H * W) float32, one row for each pixel of the result.
    """

    def __init__(self, weights: Tensor) -> None:
        self._weights = weights.T.contiguous()

    def __call__(self, images: Tensor) -> Tensor:
        """Return images of the same shape (N, H, W)."""
        return (images.flatten(1) @ self._weights).view_as(images)


def permutation(size: int, rng: np.random.Generator) -> Gather:
    """Return a random order of ``size`` x ``size`` pixels."""
    return Gather(torch.from_numpy(rng.permutation(size * size)))


def nearest_rotation(size: int, degrees: float) -> Gather:
    """Return the rotation by Pillow's nearest neighbour, as Mammoth's rotated MNIST has it."""
    index = Image.fromarray(np.arange(size * size, dtype=np.int32).reshape(size, size), mode="I")
    turned = index.rotate(degrees, resample=Image.Resampling.NEAREST, fillcolor=OUTSIDE)
    return Gather(torch.from_numpy(np.asarray(turned, dtype=np.int64).ravel().copy()))


def smooth_rotation(size: int, degrees: float) -> Mix:
    """Return the rotation by bilinear interpolation: on few pixels the nearest one would be another digit's."""
    units = np.eye(size * size, dtype=np.float32).reshape(-1, size, size)
    turned = ndimage.rotate(units, degrees, axes=(2, 1), reshape=False, order=1)
    return Mix(torch.from_numpy(turned.reshape(size * size, -1).T.copy()))
