"""Grey JPEG files, reduced to their image before a decoder sees them: no metadata, no second image, no bomb."""

import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from schemas.errors import BadPayloadError, OversizeError
from stream.codec.images import FrameLimits

_START, _SCAN, _END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
_FRAME_HEADERS = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive
_TABLES = frozenset({0xC4, 0xDA, 0xDB, 0xDD})  # Huffman, scan, quantisation, restart interval
_METADATA = frozenset({*range(0xE0, 0xF0), 0xFE})  # application data and comments
_MOST_SCANS = 64
_FRAME = struct.Struct(">BHHB")


def decode_jpeg(data: bytes, limits: FrameLimits) -> NDArray[np.uint8]:
    """Return the (H, W) pixels of a grey JPEG file.

    Raises
    ------
    BadPayloadError, OversizeError
        If it cannot be read, has colours, or is larger than the limits.
    """
    if len(data) > limits.max_bytes:
        raise OversizeError(f"the file has {len(data)} bytes; at most {limits.max_bytes} are accepted")
    plain = _plain_jpeg(data, limits)
    try:
        with Image.open(io.BytesIO(plain), formats=["JPEG"]) as image:
            return np.array(image).astype(np.uint8, copy=False)
    except (OSError, SyntaxError, ValueError, TypeError, IndexError, struct.error) as error:
        raise BadPayloadError(f"the JPEG image cannot be decoded: {error}") from error


def _plain_jpeg(data: bytes, limits: FrameLimits) -> bytes:
    """Return the file without metadata, up to where its first scan begins, and the scans."""
    if not data.startswith(_START):
        raise BadPayloadError("this is no JPEG image, although it is called one")
    # Each scan goes over the whole image again; a file of some kilobytes could ask for thousands.
    if (scans := data.count(_SCAN)) > _MOST_SCANS:
        raise OversizeError(f"the JPEG image has {scans} scans; at most {_MOST_SCANS} are read")
    kept, position, sized = [_START], len(_START), False
    while position + 4 <= len(data):
        mark, kind, length = struct.unpack_from(">BBH", data, position)
        end = position + 2 + length
        if mark != 0xFF or length < 2 or end > len(data):  # noqa: PLR2004 - the length counts its own two bytes
            raise BadPayloadError("the JPEG image cannot be decoded: it is damaged or truncated")
        if kind in _FRAME_HEADERS and not sized:
            _check_frame(data[position + 4 : end], limits)
            sized = True
        elif kind not in _TABLES | _METADATA:
            raise BadPayloadError(f"the JPEG image cannot be decoded: its part 0x{kind:02x} is not read")
        if kind not in _METADATA:
            kept.append(data[position:end])
        if kind == _SCAN[1]:
            if not sized:
                break
            return b"".join([*kept, data[end:]])
        position = end
    raise BadPayloadError("the JPEG image cannot be decoded: it is truncated")


def _check_frame(header: bytes, limits: FrameLimits) -> None:
    if len(header) < _FRAME.size:
        raise BadPayloadError("the JPEG image cannot be decoded: its header is truncated")
    depth, height, width, components = _FRAME.unpack_from(header)
    if components != 1 or depth != 8:  # noqa: PLR2004
        raise BadPayloadError(f"the JPEG image is not grey of 8 bits ({components} channels of {depth} bits)")
    if not height or not width:
        raise BadPayloadError(f"an image of {height} x {width} pixels is empty")
    if height * width > limits.max_pixels:
        raise OversizeError(f"the image has {height} x {width} pixels; at most {limits.max_pixels} are accepted")
