"""Pixels inside a JSON message: inline where they are small, by claim check where they are not."""

import base64
import binascii
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, EncodedBytes, EncoderProtocol, Field
from pydantic_core import PydanticCustomError


class _Base64(EncoderProtocol):
    """Base64 of RFC 4648 without line breaks, which every language writes and reads."""

    @classmethod
    def decode(cls, data: bytes) -> bytes:
        try:
            return base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise PydanticCustomError("base64_decode", "no base64: {error}", {"error": str(error)}) from None

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return base64.b64encode(value)

    @classmethod
    def get_json_format(cls) -> Literal["base64"]:
        return "base64"


Base64 = Annotated[bytes, EncodedBytes(encoder=_Base64)]

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Dtype = Literal["uint8", "uint16", "float32"]
Side = Annotated[int, Field(gt=0, lt=2**31)]
Shape = tuple[Side, Side]


class MediaType:
    """Media types in which pixels travel."""

    PNG = "image/png"
    TIFF = "image/tiff"
    RAW = "application/octet-stream"


class Raster(BaseModel):
    """A two-dimensional image in one of the accepted encodings.

    Attributes
    ----------
    media_type : str
        ``image/png``, ``image/tiff``, or ``application/octet-stream`` for raw
        little-endian samples in C order.
    dtype, shape : str, tuple of int
        Sample type and (rows, columns); mandatory for raw samples.
    data : bytes or None
        The encoded image itself, base64 in JSON.
    uri, sha256 : str or None
        A claim check into the artifact store, in the place of ``data``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    media_type: Literal["image/png", "image/tiff", "application/octet-stream"]
    dtype: Dtype | None = None
    shape: Shape | None = None
    data: Base64 | None = None
    uri: str | None = None
    sha256: Sha256 | None = None
