"""From per-pixel classes to indications in millimetres."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from schemas.classes import ClassTable
from schemas.frames import PixelSpacing
from schemas.judgements import Box, Indication

_EIGHT_NEIGHBOURS = np.ones((3, 3), np.uint8)


def find_indications(
    mask: NDArray[np.uint8],
    confidence: NDArray[np.float32],
    spacing: PixelSpacing,
    classes: ClassTable,
    min_pixels: int,
) -> tuple[Indication, ...]:
    """List the connected regions of each class, largest first.

    Parameters
    ----------
    mask : (H, W) uint8
        Class of each pixel, 0 is background.
    confidence : (H, W) float32
        Probability of that class.
    spacing : PixelSpacing
        Millimetres per pixel.
    classes : ClassTable
        What mask values mean.
    min_pixels : int
        Regions of fewer pixels are noise. Pixels that touch at a corner belong together.

    Returns
    -------
    tuple of Indication
        Areas in mm2, boxes in mm from the upper left corner of the frame.
    """
    if not mask.any():
        return ()
    pixel_mm2 = spacing.row_mm * spacing.column_mm
    found: list[Indication] = []
    for value in np.flatnonzero(np.bincount(mask.ravel()))[1 if (mask == 0).any() else 0 :]:
        labels, _ = ndimage.label(mask == value, _EIGHT_NEIGHBOURS)
        defect = classes[int(value)]
        for number, window in enumerate(ndimage.find_objects(labels), start=1):
            region = labels[window] == number
            pixels = int(np.count_nonzero(region))
            if pixels < min_pixels:
                continue
            rows, columns = window
            mean = float(confidence[window][region].mean(dtype=np.float64))
            box = Box(
                top_mm=rows.start * spacing.row_mm,
                left_mm=columns.start * spacing.column_mm,
                bottom_mm=rows.stop * spacing.row_mm,
                right_mm=columns.stop * spacing.column_mm,
            )
            found.append(
                Indication(
                    code=defect.code,
                    name=defect.name,
                    area_mm2=pixels * pixel_mm2,
                    box=box,
                    confidence=min(max(mean, 0.0), 1.0),
                )
            )
    return tuple(sorted(found, key=lambda i: (-i.area_mm2, i.code, i.box.top_mm, i.box.left_mm)))


def frame_uncertainty(entropy: NDArray[np.float32], window: int) -> float:
    """Return the highest local mean of the entropy, 0 to 1.

    A local mean, because a single uncertain pixel on the rim of a region says
    nothing, and the mean of the frame hides a small uncertain region.

    Parameters
    ----------
    entropy : (H, W) float32
        Per-pixel entropy divided by its maximum.
    window : int
        Side of the square that is averaged, in pixels; smaller where the frame is.
    """
    rows, columns = min(window, entropy.shape[0]), min(window, entropy.shape[1])
    sums = np.zeros((entropy.shape[0] + 1, entropy.shape[1] + 1))
    np.cumsum(np.cumsum(entropy, axis=0, dtype=np.float64), axis=1, out=sums[1:, 1:])
    local = sums[rows:, columns:] - sums[:-rows, columns:] - sums[rows:, :-columns] + sums[:-rows, :-columns]
    return float(min(max(local.max() / (rows * columns), 0.0), 1.0))
