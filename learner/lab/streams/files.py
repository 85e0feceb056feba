"""Reading images of data sets, and what identifies a folder of them."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from schemas.errors import BadPayloadError

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})


def read_grey(path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return an image as (H, W) uint8, or uint16 where it has 16 bits; colours become grey.

    Raises
    ------
    BadPayloadError
        If it cannot be read.
    """
    try:
        with Image.open(path) as image:
            if image.mode.startswith("I;16"):
                return np.asarray(image, dtype=np.uint16)
            return np.asarray(image.convert("L"), dtype=np.uint8)
    except (UnidentifiedImageError, OSError) as error:
        raise BadPayloadError(f"{path.name} cannot be read: {error}") from None


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Return the values of a mask, (H, W) uint8: grey levels, or the indices of a palette.

    Raises
    ------
    BadPayloadError
        If it cannot be read, or has colours.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in {"L", "P", "1"}:
                raise BadPayloadError(f"mask {path.name} has colours ({image.mode}), not class values")
            return np.asarray(image, dtype=np.uint8)
    except (UnidentifiedImageError, OSError) as error:
        raise BadPayloadError(f"{path.name} cannot be read: {error}") from None


def digest_of(root: Path, paths: Iterable[Path]) -> str:
    """Return a digest of files: their names below a folder, and what is in them."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
