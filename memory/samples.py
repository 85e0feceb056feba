"""A labelled image as the memory keeps it."""

import json
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from schemas.errors import BadPayloadError
from schemas.judgements import RecordPosition

_MAGIC = b"WSS1"
_PREFIX = struct.Struct("<4sII")  # magic, length of the header, CRC-32 of all that follows
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
    """

    label_id: str
    domain: str
    weld_id: str
    pixels: NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]
    mask: NDArray[np.uint8]
    extras: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    source: RecordPosition | None = None

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
        header = json.loads(data[_PREFIX.size : start])
        arrays = {}
        for name, dtype, shape in header["arrays"]:
            count = math.prod(shape)
            arrays[name] = np.frombuffer(data, _DTYPES[dtype], count, start).reshape(shape)
            start += arrays[name].nbytes
        source = header["source"]
        return cls(
            label_id=header["label_id"],
            domain=header["domain"],
            weld_id=header["weld_id"],
            pixels=arrays.pop("pixels"),
            mask=arrays.pop("mask"),
            extras={name[1:]: a for name, a in arrays.items()},
            source=RecordPosition(**source) if source else None,
        )
