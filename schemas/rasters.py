"""Pixels inside a JSON message: inline where they are small, by claim check where they are not."""

from typing import Annotated, Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Dtype = Literal["uint8", "uint16", "float32"]
Shape = tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]


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
    data: Base64Bytes | None = None
    uri: str | None = None
    sha256: Sha256 | None = None
