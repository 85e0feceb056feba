"""What every source offers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from schemas.frames import Frame
from schemas.topics import MIB
from stream.codec.images import FrameLimits, Pixels

FILE_LIMITS = FrameLimits(max_bytes=256 * MIB, max_pixels=64 * MIB)
"""For files on the own disk; what may travel through Kafka is limited elsewhere."""


@dataclass(frozen=True, slots=True, eq=False)
class SourceFrame:
    """One frame of a source.

    Attributes
    ----------
    frame : Frame
        Its metadata.
    pixels : ndarray
        (H, W), uint8, uint16 or float32, as stored.
    mask : ndarray or None
        (H, W) uint8 in the deployment's class order; None where there is none.
    """

    frame: Frame
    pixels: Pixels
    mask: NDArray[np.uint8] | None


class Source(Protocol):
    """Frames in the order in which they were taken; can be iterated again."""

    def __len__(self) -> int:
        """Return the number of frames."""

    def __iter__(self) -> Iterator[SourceFrame]:
        """Yield the frames.

        Raises
        ------
        BadPayloadError
            If a file is truncated or cannot be read; the message names it.
        """
