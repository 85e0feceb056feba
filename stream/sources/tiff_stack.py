"""A TIFF file with one image for each frame."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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
        with _named(path), Image.open(path, formats=["TIFF"]) as image:
            self._count = int(getattr(image, "n_frames", 1))

    def __len__(self) -> int:
        """Return the number of images."""
        return self._count

    def __iter__(self) -> Iterator[SourceFrame]:
        """Yield the images as frames; the file stays open meanwhile."""
        with self.path.open("rb") as file:
            with _named(self.path):
                image = Image.open(file, formats=["TIFF"])
            for index in range(self._count):
                with _named(self.path):
                    image.seek(index)
                    dtype = image_dtype(image, "TIFF", FILE_LIMITS)
                    pixels = np.array(image).astype(dtype, copy=False)
                yield SourceFrame(self.acquisition.frame(index), pixels, None)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in every error; Pillow only warns where a directory of the file is cut."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            yield
    except BadRecordError as error:
        raise type(error)(f"{path}: {error}") from error
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, IndexError, EOFError, UserWarning) as error:
        raise BadPayloadError(f"{path}: the TIFF file cannot be read: {error}") from error
