"""A Kafka record as one string of bytes, so that a fuzzer that knows nothing of records can change any part of it."""

import struct

from stream.records import OutRecord
from tests.unit.stream.samples import Record

_COUNTS = struct.Struct("<BB")  # headers, bytes of the key
_HEADER = struct.Struct("<BH")  # bytes of name and of value


def pack_record(record: OutRecord | Record) -> bytes:
    key = record.key or b""
    parts = [_COUNTS.pack(len(record.headers), len(key)), key]
    for name, value in record.headers:
        parts += [_HEADER.pack(len(name.encode()), len(value or b"")), name.encode(), value or b""]
    return b"".join([*parts, record.value or b""])


def unpack_record(data: bytes) -> Record:
    """Any bytes are a record; what is missing is empty. Header names are text: Kafka's client decodes them."""
    count, key_bytes = _COUNTS.unpack(data[: _COUNTS.size].ljust(_COUNTS.size, b"\0"))
    position = _COUNTS.size + key_bytes
    key = data[_COUNTS.size : position]
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        lengths = data[position : position + _HEADER.size]
        if len(lengths) < _HEADER.size:
            break
        name_bytes, value_bytes = _HEADER.unpack(lengths)
        position += _HEADER.size
        name = data[position : position + name_bytes].decode(errors="replace")
        position += name_bytes
        headers.append((name, data[position : position + value_bytes]))
        position += value_bytes
    return Record(key=key or None, value=data[position:] or None, headers=tuple(headers))
