"""A TIFF file with one image for each frame."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import BadRecordError
from stream.codec.images import check_finite, decode_page
from stream.codec.tiff import read_pages
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
        If the file is no TIFF file, or a directory of it cannot be read.
    """

    def __init__(self, path: Path, acquisition: Acquisition) -> None:
        self.path = path
        self.acquisition = acquisition
        with _named(path), path.open("rb") as file:
            self._count = sum(1 for _ in read_pages(file, FILE_LIMITS.max_pixels))

    def __len__(self) -> int:
        """Return the number of images."""
        return self._count

    def __iter__(self) -> Iterator[SourceFrame]:
        """Yield the images as frames; the file stays open meanwhile."""
        with self.path.open("rb") as file:
            with _named(self.path):
                pages = list(read_pages(file, FILE_LIMITS.max_pixels))
            for index, page in enumerate(pages):
                with _named(self.path):
                    pixels = check_finite(decode_page(file, page, FILE_LIMITS))
                yield SourceFrame(self.acquisition.frame(index), pixels, None)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in every error."""
    try:
        yield
    except BadRecordError as error:
        raise type(error)(f"{path}: {error}") from error
