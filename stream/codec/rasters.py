"""Rasters: images inside JSON messages, inline or by claim check."""

import hashlib
from collections.abc import Callable
from typing import Literal, cast

from schemas.errors import (
    ArtifactNotFoundError,
    BadPayloadError,
    DigestMismatchError,
    OversizeError,
    UnknownFrameError,
)
from schemas.rasters import Dtype, MediaType, Raster
from stream.codec.cloudevents import quote
from stream.codec.images import FrameLimits, Pixels, decode_image, encode_image

Fetch = Callable[[str, str], bytes]
"""Returns the bytes of a claim check, given its URI and sha256; raises ``ArtifactNotFoundError``."""


def encode_raster(pixels: Pixels, media_type: str = MediaType.PNG) -> Raster:
    """Return (H, W) pixels of uint8, uint16 or float32 inline.

    Raises
    ------
    ValueError
        If the media type cannot hold these pixels.
    """
    return wrap(encode_image(pixels, media_type), media_type, pixels)


def wrap(data: bytes, media_type: str, pixels: Pixels) -> Raster:
    """Return bytes that are known to decode to these pixels as a raster."""
    # Built without validation: validating would decode the base64 text that it would first have to encode.
    return Raster.model_construct(
        media_type=cast('Literal["image/png", "image/tiff", "application/octet-stream"]', media_type),
        dtype=cast("Dtype", pixels.dtype.name),
        shape=(pixels.shape[0], pixels.shape[1]),
        data=data,
        uri=None,
        sha256=None,
    )


def decode_raster(raster: Raster, limits: FrameLimits, fetch: Fetch | None = None) -> Pixels:
    """Return a raster's pixels, fetching them if it is a claim check.

    Parameters
    ----------
    raster : Raster
        Inline or claim check.
    limits : FrameLimits
        What is accepted.
    fetch : callable or None
        Reads claim checks; without it they count as unresolvable.

    Raises
    ------
    BadPayloadError, OversizeError, NonFiniteError
        If the image cannot be used.
    UnknownFrameError
        If a claim check points to nothing.
    DigestMismatchError
        If the bytes are not those announced.
    """
    data = _bytes(raster, limits, fetch)
    if raster.sha256 is not None:
        found = hashlib.sha256(data).hexdigest()
        if found != raster.sha256:
            raise DigestMismatchError(f"the image's sha256 is {found}, but {raster.sha256} was announced")
    return decode_image(data, raster.media_type, limits, dtype=raster.dtype, shape=raster.shape)


def _bytes(raster: Raster, limits: FrameLimits, fetch: Fetch | None) -> bytes:
    if raster.data is not None and raster.uri is not None:
        raise BadPayloadError("an image is given both inline and by claim check")
    if raster.data is not None:
        return raster.data
    if raster.uri is None:
        raise BadPayloadError("an image is given neither inline nor by claim check")
    if raster.sha256 is None:
        raise BadPayloadError(f"the claim check {quote(raster.uri)} has no sha256")
    if fetch is None:
        raise UnknownFrameError(
            f"the claim check {quote(raster.uri)} cannot be resolved: no artifact store is configured"
        )
    try:
        data = fetch(raster.uri, raster.sha256)
    except ArtifactNotFoundError as error:
        raise UnknownFrameError(f"the claim check {quote(raster.uri)} points to nothing: {error}") from error
    if len(data) > limits.max_bytes:
        raise OversizeError(f"the claim check's image has {len(data)} bytes; at most {limits.max_bytes} are accepted")
    return data
