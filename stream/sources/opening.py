"""Picks the source that reads a path."""

from pathlib import Path
from typing import Literal

from schemas.rasters import Dtype
from stream.sources.acquisition import Acquisition
from stream.sources.base import Source
from stream.sources.image_folder import ImageFolder
from stream.sources.raw_array import RawArray
from stream.sources.tiff_stack import TiffStack


def open_source(
    path: Path,
    acquisition: Acquisition,
    *,
    dtype: Dtype | None = None,
    shape: tuple[int, int] | None = None,
    byte_order: Literal["little", "big"] = "little",
) -> Source:
    """Open a folder of images, a TIFF file, or any other file as raw samples.

    Raises
    ------
    ValueError
        If raw samples have no dtype and shape.
    FileNotFoundError, BadPayloadError
        If there is nothing to read.
    """
    if path.is_dir():
        return ImageFolder(path, acquisition)
    if path.suffix.lower() in {".tif", ".tiff"}:
        return TiffStack(path, acquisition)
    if dtype is None or shape is None:
        msg = f"{path} is read as raw samples: say their dtype and shape"
        raise ValueError(msg)
    return RawArray(path, acquisition, dtype=dtype, shape=shape, byte_order=byte_order)
