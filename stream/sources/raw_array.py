"""Frames one after another in a raw file without a header."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from schemas.errors import BadPayloadError, NonFiniteError, OversizeError
from schemas.rasters import Dtype
from stream.sources.acquisition import Acquisition
from stream.sources.base import FILE_LIMITS, SourceFrame


class RawArray:
    """A file of samples in C order: frame, row, column.

    Parameters
    ----------
    path : Path
        The file.
    acquisition : Acquisition
        How the frames were taken.
    dtype : {"uint8", "uint16", "float32"}
        Sample type.
    shape : tuple of int
        (rows, columns) of a frame.
    byte_order : {"little", "big"}
        Of the samples.
    offset_bytes : int
        What to skip at the beginning of the file.

    Raises
    ------
    BadPayloadError
        If the file does not hold a whole number of frames, or a frame has no pixels.
    OversizeError
        If a frame has more pixels than are read.
    """

    def __init__(
        self,
        path: Path,
        acquisition: Acquisition,
        *,
        dtype: Dtype,
        shape: tuple[int, int],
        byte_order: Literal["little", "big"] = "little",
        offset_bytes: int = 0,
    ) -> None:
        self.path = path
        self.acquisition = acquisition
        self.dtype: Dtype = dtype
        self.shape = shape
        self.offset_bytes = offset_bytes
        self._stored = np.dtype(dtype).newbyteorder("<" if byte_order == "little" else ">")
        self._frame_bytes = shape[0] * shape[1] * self._stored.itemsize
        if min(shape) < 1 or offset_bytes < 0:
            raise BadPayloadError(f"{path}: frames of {shape[0]} x {shape[1]} from byte {offset_bytes} hold nothing")
        if shape[0] * shape[1] > FILE_LIMITS.max_pixels:
            raise OversizeError(f"{path}: frames of {shape[0]} x {shape[1]}; {FILE_LIMITS.max_pixels} pixels are read")
        size = path.stat().st_size - offset_bytes
        self._count, rest = divmod(size, self._frame_bytes)
        if rest or self._count < 1:
            raise BadPayloadError(
                f"{path}: {size} bytes are no whole number of frames of {shape[0]} x {shape[1]} {dtype} "
                f"({self._frame_bytes} bytes each)"
            )

    def __len__(self) -> int:
        """Return the number of frames."""
        return self._count

    def __iter__(self) -> Iterator[SourceFrame]:
        """Yield the frames; the file stays open meanwhile."""
        with self.path.open("rb") as file:
            file.seek(self.offset_bytes)
            for index in range(self._count):
                data = file.read(self._frame_bytes)
                if len(data) != self._frame_bytes:
                    raise BadPayloadError(f"{self.path}: truncated in frame {index}")
                pixels = np.frombuffer(data, self._stored).reshape(self.shape).astype(self.dtype)
                if self.dtype == "float32" and not np.isfinite(pixels).all():
                    raise NonFiniteError(f"{self.path}: frame {index} contains NaN or infinity")
                yield SourceFrame(self.acquisition.frame(index), pixels, None)
