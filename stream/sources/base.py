"""What a source of scans yields."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from schemas import Frame


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """A frame with its pixels and, where it is known, the truth.

    Attributes
    ----------
    frame : Frame
        What is known of the frame.
    pixels : NDArray
        Shape ``(H, W)``, uint8, uint16 or float32.
    mask : NDArray[np.uint8] or None
        Shape ``(H, W)``: value i means class i - 1 of the deployment, 0 background.
    """

    frame: Frame
    pixels: NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]
    mask: NDArray[np.uint8] | None


class Source(Protocol):
    """Anything that frames come from, each time from the start."""

    def __iter__(self) -> Iterator[SourceFrame]:
        """Iterate over the frames in the order of acquisition."""
        ...
