"""A TIFF file with one image for each frame."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from schemas.errors import BadPayloadError, BadRecordError
from stream.codec.images import image_dtype
from stream.sources.acquisition import Acquisition
from stream.sources.base import FILE_LIMITS, SourceFrame


class TiffStack:
    """The images of a TIFF file of 8 or 16 bits or 32-bit floats, in file order.

    Parameters
    ----------
    path : Path
        The file.
    acquisition : Acquisition
        How the frames were taken.

    Raises
    ------
    BadPayloadError
        If the file is no TIFF file.
    """

    def __init__(self, path: Path, acquisition: Acquisition) -> None:
        self.path = path
        self.acquisition = acquisition
        try:
            with Image.open(path, formats=["TIFF"]) as image:
                self._count = int(getattr(image, "n_frames", 1))
        except (OSError, SyntaxError, ValueError, KeyError, TypeError, IndexError) as error:
            raise BadPayloadError(f"{path}: the TIFF file cannot be read: {error}") from error

    def __len__(self) -> int:
        """Return the number of images."""
        return self._count

    def __iter__(self) -> Iterator[SourceFrame]:
        """Yield the images as frames; the file stays open meanwhile."""
        try:
            with Image.open(self.path, formats=["TIFF"]) as image:
                for index in range(self._count):
                    image.seek(index)
                    dtype = image_dtype(image, "TIFF", FILE_LIMITS)
                    pixels = np.array(image).astype(dtype, copy=False)
                    yield SourceFrame(self.acquisition.frame(index), pixels, None)
        except BadRecordError as error:
            raise type(error)(f"{self.path}: {error}") from error
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            raise BadPayloadError(f"{self.path}: the TIFF file cannot be read: {error}") from error
