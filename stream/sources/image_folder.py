"""A folder of images, with masks in a folder of their own or beside the images."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.errors import BadMaskError, BadRecordError, OversizeError
from schemas.rasters import MediaType
from stream.codec.images import Pixels, decode_image
from stream.sources.acquisition import Acquisition
from stream.sources.base import FILE_LIMITS, SourceFrame
from stream.sources.jpeg import decode_jpeg

MaskReader = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""Turns the values of a mask file into mask values of the deployment."""

_MEDIA_TYPES = {".png": MediaType.PNG, ".tif": MediaType.TIFF, ".tiff": MediaType.TIFF}
_JPEG = {".jpg", ".jpeg"}


def threshold_mask(threshold: int = 128, value: int = 1) -> MaskReader:
    """Return a reader that gives one class to everything from a threshold on."""

    def read(stored: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.where(stored >= threshold, np.uint8(value), np.uint8(0))

    return read


def map_mask(values: Mapping[int, int]) -> MaskReader:
    """Return a reader that translates value by value; a value that is not in the mapping is an error."""

    def read(stored: NDArray[np.uint8]) -> NDArray[np.uint8]:
        unknown = sorted({int(value) for value in np.unique(stored)} - set(values))
        if unknown:
            raise BadMaskError(f"mask values {unknown} mean no class")
        table = np.zeros(256, dtype=np.uint8)
        for value, mapped in values.items():
            table[value] = mapped
        return table[stored]

    return read


class ImageFolder:
    """PNG and TIFF of 8 or 16 bits and grey JPEG, in the order of their paths, subfolders included.

    Parameters
    ----------
    folder : Path
        Where the images are.
    acquisition : Acquisition
        How they were taken.
    masks : Path or None
        Folder with a ``.png`` of the same stem for images that have a mask.
        None takes a ``.png`` beside an image of another kind as its mask.
    read_mask : callable
        What the values of the mask files mean.
    select : callable
        Which image files count.
    """

    def __init__(
        self,
        folder: Path,
        acquisition: Acquisition,
        *,
        masks: Path | None = None,
        read_mask: MaskReader | None = None,
        select: Callable[[Path], bool] = lambda _: True,
    ) -> None:
        self.acquisition = acquisition
        self._read_mask = read_mask or threshold_mask()
        self._files = [
            (path, mask)
            for path in sorted(folder.rglob("*"))
            if path.suffix.lower() in _MEDIA_TYPES.keys() | _JPEG
            and not (masks is None and _is_mask(path))
            and not (masks is not None and path.is_relative_to(masks))
            and select(path)
            for mask in [(masks / f"{path.stem}.png") if masks else _mask_beside(path)]
        ]
        if not self._files:
            msg = f"{folder} contains no images"
            raise FileNotFoundError(msg)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The image files, in order."""
        return tuple(path for path, _ in self._files)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._files)

    def __iter__(self) -> Iterator[SourceFrame]:
        """Yield the images as frames."""
        for index, (path, mask_path) in enumerate(self._files):
            pixels = read_image(path)
            mask = None
            if mask_path is not None and mask_path.exists():
                mask = self._mask(mask_path, pixels.shape)
            yield SourceFrame(self.acquisition.frame(index), pixels, mask)

    def _mask(self, path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        stored = read_image(path)
        if stored.dtype != np.uint8 or stored.shape != shape:
            raise BadMaskError(f"{path}: the mask is {stored.shape} of {stored.dtype}, its image has {shape}")
        try:
            return self._read_mask(stored.astype(np.uint8, copy=False))
        except BadMaskError as error:
            raise BadMaskError(f"{path}: {error}") from error


def read_image(path: Path) -> Pixels:
    """Read an image file of one channel.

    Raises
    ------
    BadRecordError
        If it cannot be read; the message names the file.
    """
    try:
        if path.suffix.lower() in _JPEG:
            return decode_jpeg(_content(path), FILE_LIMITS)
        return decode_image(_content(path), _MEDIA_TYPES[path.suffix.lower()], FILE_LIMITS)
    except BadRecordError as error:
        raise type(error)(f"{path}: {error}") from error


def _content(path: Path) -> bytes:
    size = path.stat().st_size
    if size > FILE_LIMITS.max_bytes:  # before the memory is taken
        raise OversizeError(f"the file has {size} bytes; at most {FILE_LIMITS.max_bytes} are accepted")
    return path.read_bytes()


def _is_mask(path: Path) -> bool:
    return path.suffix.lower() == ".png" and any(
        path.with_suffix(suffix).exists() for suffix in (".jpg", ".jpeg", ".tif", ".tiff")
    )


def _mask_beside(path: Path) -> Path | None:
    return path.with_suffix(".png") if path.suffix.lower() != ".png" else None
