import hashlib
import json

import numpy as np
import pytest
from pydantic import ValidationError

from schemas import MediaType, Raster
from schemas.errors import (
    ArtifactNotFoundError,
    BadPayloadError,
    DigestMismatchError,
    OversizeError,
    UnknownFrameError,
)
from stream.codec import FrameLimits, decode_raster, encode_raster
from tests.unit.stream.samples import speckle

LIMITS = FrameLimits()


@pytest.mark.parametrize(
    ("dtype", "media_type"),
    [
        ("uint8", MediaType.PNG),
        ("uint16", MediaType.PNG),
        ("float32", MediaType.TIFF),
        ("uint16", MediaType.RAW),
        ("float32", MediaType.RAW),
    ],
)
def test_rasters_survive_json(dtype: str, media_type: str) -> None:
    pixels = speckle(dtype)
    raster = Raster.model_validate_json(encode_raster(pixels, media_type).model_dump_json())
    found = decode_raster(raster, LIMITS)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, pixels)


def test_base64_is_on_one_line_and_strict() -> None:
    text = json.loads(encode_raster(speckle(shape=(64, 64)), MediaType.PNG).model_dump_json())["data"]
    assert "\n" not in text
    assert len(text) > 76
    with pytest.raises(ValidationError, match="base64"):
        Raster(media_type="image/png", data="no base64!")


def claim(data: bytes, sha256: str | None = None) -> Raster:
    return Raster(media_type="image/png", uri="artifacts/x", sha256=sha256 or hashlib.sha256(data).hexdigest())


def test_claim_checks_are_fetched_and_verified() -> None:
    pixels = speckle()
    data = encode_raster(pixels).data
    assert data is not None
    asked = []

    def fetch(uri: str, sha256: str) -> bytes:
        asked.append((uri, sha256))
        return data

    raster = claim(data)
    np.testing.assert_array_equal(decode_raster(raster, LIMITS, fetch), pixels)
    assert asked == [("artifacts/x", raster.sha256)]
    with pytest.raises(DigestMismatchError):
        decode_raster(claim(data, "0" * 64), LIMITS, fetch)
    with pytest.raises(OversizeError):
        decode_raster(raster, FrameLimits(max_bytes=10), fetch)


def test_claim_checks_that_point_to_nothing() -> None:
    def fetch(uri: str, sha256: str) -> bytes:
        raise ArtifactNotFoundError(uri)

    for fetcher in (fetch, None):
        with pytest.raises(UnknownFrameError, match="artifacts/x"):
            decode_raster(claim(b"x"), LIMITS, fetcher)


def test_a_raster_is_inline_or_a_claim_check() -> None:
    inline = encode_raster(speckle())
    for raster in (
        Raster(media_type="image/png"),
        inline.model_copy(update={"uri": "artifacts/x", "sha256": "0" * 64}),
        Raster(media_type="image/png", uri="artifacts/x"),
    ):
        with pytest.raises(BadPayloadError):
            decode_raster(raster, LIMITS)


def test_an_inline_digest_is_verified() -> None:
    raster = encode_raster(speckle()).model_copy(update={"sha256": "0" * 64})
    with pytest.raises(DigestMismatchError):
        decode_raster(raster, LIMITS)


def test_raw_rasters_need_dtype_and_shape() -> None:
    raster = encode_raster(speckle(), MediaType.RAW).model_copy(update={"shape": None})
    with pytest.raises(BadPayloadError, match="shape"):
        decode_raster(raster, LIMITS)
