"""A labelled image as the memory keeps it."""

import json
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import BadPayloadError
from schemas.judgements import RecordPosition
from schemas.rasters import Dtype

LOGITS = "logits"
"""Name among a sample's extras of what the network answered when it learned the sample."""

_MAGIC = b"WSS1"
_PREFIX = struct.Struct("<4sII")  # magic, length of the header, CRC-32 of all that follows
_MOST_AXES = 8
_DTYPES = {"uint8": "|u1", "uint16": "<u2", "float32": "<f4"}


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One labelled image.

    Attributes
    ----------
    label_id, domain, weld_id : str
        The label, its domain and its weld.
    pixels : ndarray (H, W) of uint8, uint16 or float32
        As they arrived.
    mask : ndarray (H, W) of uint8
        In the deployment's class order.
    extras : mapping of str to ndarray of float32
        What a strategy keeps with the sample, such as logits.
    source : RecordPosition or None
        Where the label lies in Kafka.
    inspector_id : str
        Who labelled it; empty where nobody did, as in a first model's samples.
    """

    label_id: str
    domain: str
    weld_id: str
    pixels: NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]
    mask: NDArray[np.uint8]
    extras: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    source: RecordPosition | None = None
    inspector_id: str = ""

    def to_bytes(self) -> bytes:
        """Return a JSON header and the raw little-endian arrays, with a checksum.

        Raises
        ------
        BadPayloadError
            If an array is of another dtype or shape than documented.
        """
        if str(self.pixels.dtype) not in _DTYPES or self.pixels.ndim != 2:  # noqa: PLR2004 - rows and columns
            raise BadPayloadError(f"pixels of {self.label_id} are {self.pixels.dtype} {self.pixels.shape}")
        if self.mask.dtype != np.uint8 or self.mask.shape != self.pixels.shape:
            raise BadPayloadError(f"mask of {self.label_id} is {self.mask.dtype} {self.mask.shape}")
        if any(a.dtype != np.float32 for a in self.extras.values()):
            raise BadPayloadError(f"extras of {self.label_id} must be float32")
        arrays = {"pixels": self.pixels, "mask": self.mask, **{f"+{k}": v for k, v in self.extras.items()}}
        header = json.dumps(
            {
                "label_id": self.label_id,
                "domain": self.domain,
                "weld_id": self.weld_id,
                "source": self.source.model_dump() if self.source else None,
                "inspector_id": self.inspector_id,
                "arrays": [[name, str(a.dtype), list(a.shape)] for name, a in arrays.items()],
            },
            separators=(",", ":"),
        ).encode()
        body = [header, *(np.ascontiguousarray(a, _DTYPES[str(a.dtype)]).tobytes() for a in arrays.values())]
        rest = b"".join(body)
        return _PREFIX.pack(_MAGIC, len(header), zlib.crc32(rest)) + rest

    @classmethod
    def from_bytes(cls, data: bytes) -> "Sample":
        """Return the sample that :meth:`to_bytes` wrote; its arrays are read-only.

        Raises
        ------
        BadPayloadError
            If the bytes are truncated, damaged or of another kind.
        """
        if len(data) < _PREFIX.size or data[:4] != _MAGIC:
            raise BadPayloadError("these bytes are no stored sample")
        _, header_bytes, checksum = _PREFIX.unpack_from(data)
        if zlib.crc32(memoryview(data)[_PREFIX.size :]) != checksum:
            raise BadPayloadError(f"stored sample of {len(data)} bytes is truncated or damaged")
        start = _PREFIX.size + header_bytes
        try:
            header = _Header.model_validate_json(data[_PREFIX.size : start])
        except ValidationError as error:
            raise BadPayloadError(f"stored sample has a header that cannot be read: {str(error)[:300]}") from None
        arrays = header.read_arrays(data, start)
        return cls(
            label_id=header.label_id,
            domain=header.domain,
            weld_id=header.weld_id,
            pixels=arrays.pop("pixels"),
            mask=arrays.pop("mask"),
            extras={name[1:]: a for name, a in arrays.items()},
            source=header.source,
            inspector_id=header.inspector_id,
        )


class _Header(BaseModel):
    """What stands before the arrays of a stored sample."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label_id: str
    domain: str
    weld_id: str
    source: RecordPosition | None
    inspector_id: str = ""
    arrays: Annotated[tuple[tuple[str, Dtype, tuple[Annotated[int, Field(ge=0)], ...]], ...], Field(max_length=64)]

    def read_arrays(self, data: bytes, start: int) -> dict[str, Any]:
        """Return the arrays that follow, by name; read-only.

        Raises
        ------
        BadPayloadError
            If they are not as many bytes as are left, or not of the kinds that a sample has.
        """
        arrays: dict[str, Any] = {}
        for name, dtype, shape in self.arrays:
            count, left = math.prod(shape), len(data) - start
            stored = np.dtype(_DTYPES[dtype])
            if name in arrays or len(shape) > _MOST_AXES or count * stored.itemsize > left:
                raise BadPayloadError(f"stored sample of {len(data)} bytes has no room for {name[:80]!r} {shape[:9]}")
            try:
                arrays[name] = np.frombuffer(data, stored, count, start).reshape(shape)
            except ValueError as error:  # an axis of length 0 may stand beside one of any length
                raise BadPayloadError(f"stored sample cannot hold {name[:80]!r}: {error}") from None
            start += count * stored.itemsize
        pixels, mask = arrays.get("pixels"), arrays.get("mask")
        extras = [name for name in arrays if name not in {"pixels", "mask"}]
        if start != len(data) or pixels is None or mask is None or pixels.ndim != 2:  # noqa: PLR2004 - rows, columns
            raise BadPayloadError("stored sample does not consist of pixels, mask and extras")
        if mask.dtype != np.uint8 or mask.shape != pixels.shape:
            raise BadPayloadError(f"stored sample has a mask of {mask.dtype} {mask.shape} on pixels of {pixels.shape}")
        if any(not name.startswith("+") or arrays[name].dtype != np.float32 for name in extras):
            raise BadPayloadError("stored sample has extras that are not float32")
        return arrays
