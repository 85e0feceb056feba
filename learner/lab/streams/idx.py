"""Reads the IDX format of MNIST."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.errors import BadPayloadError

_UINT8 = 0x08
_MOST_BYTES = 256 * 1024 * 1024


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the array of a gzipped IDX file of bytes.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    BadPayloadError
        If it is no such file, or not as long as it says.
    """
    try:
        with gzip.open(path) as file:
            data = file.read(_MOST_BYTES + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadPayloadError(f"{path.name} is no gzip file: {error}") from None
    if len(data) > _MOST_BYTES:
        raise BadPayloadError(f"{path.name} expands to more than {_MOST_BYTES} bytes")
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != _UINT8:  # noqa: PLR2004 - length of the magic
        raise BadPayloadError(f"{path.name} is no IDX file of bytes")
    axes, start = data[3], 4 + 4 * data[3]
    if len(data) < start:
        raise BadPayloadError(f"{path.name} ends within its header")
    shape = struct.unpack_from(f">{axes}I", data, 4)
    if int(np.prod(shape, dtype=object)) != len(data) - start:
        raise BadPayloadError(f"{path.name} has {len(data) - start} bytes where {shape} are announced")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
