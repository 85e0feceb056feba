"""Pixels to bytes and back: single-channel PNG, TIFF and raw samples."""

import io
from itertools import islice
from typing import Annotated, BinaryIO, TypeAlias, cast, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from schemas.errors import BadPayloadError, NonFiniteError, OversizeError
from schemas.rasters import Dtype, MediaType
from schemas.settings import Section
from schemas.topics import MIB
from stream.codec.cloudevents import quote
from stream.codec.png import plain_png, png_size
from stream.codec.tiff import TiffPage, plain_tiff, read_pages

Pixels: TypeAlias = "NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]"

DTYPES: tuple[str, ...] = get_args(Dtype)
_MODES = {"L": "uint8", "I;16": "uint16", "I;16L": "uint16", "I;16B": "uint16", "F": "float32"}


class FrameLimits(Section):
    """What a payload may cost before it is refused."""

    max_bytes: Annotated[int, Field(ge=1)] = Field(4 * MIB, description="Largest encoded image in bytes.")
    # Beyond this the decoder would warn of an image that is meant to exhaust the memory.
    max_pixels: Annotated[int, Field(ge=1, le=64 * MIB)] = Field(4 * MIB, description="Most pixels of an image.")


def decode_image(
    data: bytes,
    media_type: str,
    limits: FrameLimits,
    *,
    dtype: str | None = None,
    shape: tuple[int, int] | None = None,
) -> Pixels:
    """Decode an image of one channel.

    Parameters
    ----------
    data : bytes
        As it arrived.
    media_type : str
        One of :class:`~schemas.rasters.MediaType`.
    limits : FrameLimits
        Checked against the announced size before anything is decoded.
    dtype, shape : str or None, tuple of int or None
        Of raw samples; if given for PNG or TIFF, they must agree.

    Returns
    -------
    ndarray
        (H, W), uint8, uint16 or float32, writable, in native byte order.

    Raises
    ------
    BadPayloadError, OversizeError, NonFiniteError
    """
    if not data:
        raise BadPayloadError("the payload is empty")
    if len(data) > limits.max_bytes:
        raise OversizeError(f"the payload has {len(data)} bytes; at most {limits.max_bytes} are accepted")
    if media_type == MediaType.RAW:
        pixels = _decode_raw(data, dtype, shape, limits)
    elif media_type == MediaType.PNG:
        pixels = _decode_png(data, limits)
    elif media_type == MediaType.TIFF:
        pixels = _decode_tiff(data, limits)
    else:
        raise BadPayloadError(
            f"content type {quote(media_type)} is not read; use {MediaType.PNG}, {MediaType.TIFF} or {MediaType.RAW}"
        )
    if dtype is not None and pixels.dtype != dtype:
        raise BadPayloadError(f"the image has {pixels.dtype} samples, but {dtype} was announced")
    if shape is not None and pixels.shape != shape:
        raise BadPayloadError(f"the image has {_size(*pixels.shape)} pixels, but {_size(*shape)} was announced")
    return check_finite(pixels)


def check_finite(pixels: Pixels) -> Pixels:
    """Return pixels that are all numbers, or raise ``NonFiniteError``."""
    if pixels.dtype == np.float32 and not np.isfinite(pixels).all():
        raise NonFiniteError("the pixels contain NaN or infinity")
    return pixels


def encode_image(pixels: Pixels, media_type: str) -> bytes:
    """Encode (H, W) pixels of uint8, uint16 or float32; raw samples are little-endian in C order.

    Raises
    ------
    ValueError
        If this media type cannot hold these pixels.
    """
    if pixels.ndim != 2 or not pixels.size or pixels.dtype.name not in DTYPES:  # noqa: PLR2004
        msg = f"an image is (H, W) of {', '.join(DTYPES)}; got {pixels.shape} of {pixels.dtype}"
        raise ValueError(msg)
    little = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<"))
    if media_type == MediaType.RAW:
        return little.tobytes()
    if media_type == MediaType.PNG and pixels.dtype == np.float32:
        msg = "PNG cannot hold float32 samples; use TIFF or raw samples"
        raise ValueError(msg)
    if media_type not in {MediaType.PNG, MediaType.TIFF}:
        msg = f"unknown media type {media_type!r}"
        raise ValueError(msg)
    buffer = io.BytesIO()
    if media_type == MediaType.PNG:
        # Level 1 takes a fifth of the time of the default for a few per cent of size on speckle.
        Image.fromarray(little).save(buffer, "PNG", compress_level=1)
    else:
        Image.fromarray(little).save(buffer, "TIFF")
    return buffer.getvalue()


def _size(height: int, width: int) -> str:
    return f"{height} x {width}"


def _check_size(height: int, width: int, limits: FrameLimits) -> None:
    if height < 1 or width < 1:
        raise BadPayloadError(f"an image of {_size(height, width)} pixels is empty")
    if height * width > limits.max_pixels:
        raise OversizeError(
            f"the image has {_size(height, width)} pixels; at most {limits.max_pixels} in all are accepted"
        )


def _decode_png(data: bytes, limits: FrameLimits) -> Pixels:
    _check_size(*png_size(data), limits)
    return _decode_with_pillow(plain_png(data), "PNG")


def _decode_tiff(data: bytes, limits: FrameLimits) -> Pixels:
    file = io.BytesIO(data)
    first, *others = islice(read_pages(file, limits.max_pixels), 2)
    if others:
        raise BadPayloadError("the TIFF file holds several images; a frame is one")
    return decode_page(file, first, limits)


def decode_page(file: BinaryIO, page: TiffPage, limits: FrameLimits) -> Pixels:
    """Decode one image of a TIFF file.

    Raises
    ------
    BadPayloadError, OversizeError
        If its samples cannot be decoded, or are too many.
    """
    _check_size(page.height, page.width, limits)
    pixels = _decode_with_pillow(plain_tiff(file, page), "TIFF")
    return np.invert(pixels) if page.white_is_zero and pixels.dtype != np.float32 else pixels


def _decode_with_pillow(plain: bytes, kind: str) -> Pixels:
    """Decode a file that was written anew, and therefore holds nothing but one image of a checked size."""
    try:
        with Image.open(io.BytesIO(plain), formats=[kind]) as image:
            # A copy, because the array must be writable and in native byte order.
            return cast("Pixels", np.array(image).astype(_MODES[image.mode], copy=False))
    except MemoryError:
        raise
    except Exception as error:  # the decoders raise a dozen kinds of errors on broken samples
        raise BadPayloadError(f"the {kind} image cannot be decoded: {error}") from error


def _decode_raw(data: bytes, dtype: str | None, shape: tuple[int, int] | None, limits: FrameLimits) -> Pixels:
    if dtype is None or shape is None:
        raise BadPayloadError("raw samples need their dtype and shape")
    if dtype not in DTYPES:
        raise BadPayloadError(f"raw samples of dtype {dtype!r} are not read; use {', '.join(DTYPES)}")
    _check_size(*shape, limits)
    little = np.dtype(dtype).newbyteorder("<")
    expected = shape[0] * shape[1] * little.itemsize
    if len(data) != expected:
        raise BadPayloadError(
            f"{_size(*shape)} samples of {dtype} take {expected} bytes, but the payload has {len(data)}"
        )
    return cast("Pixels", np.frombuffer(data, dtype=little).reshape(shape).astype(dtype))
