"""One directory of a TIFF or BigTIFF file: the few tags that say where samples lie, as integers."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO

from schemas.errors import BadPayloadError

_FORMATS = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""struct's letter for TIFF's types of unsigned integers; no tag that is read here has another."""
_MOST_TAGS = 1024


class Tag(IntEnum):
    """The tags that are read, by TIFF's numbers; all others are passed over."""

    WIDTH = 256
    LENGTH = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    FILL_ORDER = 266
    STRIP_OFFSETS = 273
    ORIENTATION = 274
    SAMPLES = 277
    ROWS_PER_STRIP = 278
    STRIP_COUNTS = 279
    PREDICTOR = 317
    TILE_WIDTH = 322
    TILE_LENGTH = 323
    TILE_OFFSETS = 324
    TILE_COUNTS = 325
    SAMPLE_FORMAT = 339


_NUMBERS = frozenset(Tag)


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory, read.

    Attributes
    ----------
    endian : {"<", ">"}
        Byte order of the file.
    entries : mapping of int to tuple of int
        The values of each tag.
    next_offset : int
        Where the next directory lies; 0 if there is none.
    size_bytes : int
        What was read for it.
    """

    endian: str
    entries: Mapping[int, tuple[int, ...]]
    next_offset: int
    size_bytes: int

    def __contains__(self, tag: object) -> bool:
        """Return whether the directory has a tag."""
        return tag in self.entries

    def one(self, tag: Tag, default: int | None = None) -> int:
        """Return the one value of a tag.

        Raises
        ------
        BadPayloadError
            If it has several, or none and there is no default.
        """
        values = self.entries.get(tag)
        if values is None:
            if default is None:
                raise BadPayloadError(f"the TIFF image does not say its {tag.name.lower().replace('_', ' ')}")
            return default
        return self.many(tag, 1)[0]

    def many(self, tag: Tag, count: int) -> tuple[int, ...]:
        """Return the values of a tag, which must be this many.

        Raises
        ------
        BadPayloadError
            If they are not.
        """
        values = self.entries.get(tag, ())
        if len(values) != count:
            name = tag.name.lower().replace("_", " ")
            raise BadPayloadError(f"the TIFF image has {len(values)} values of its {name}; {count} are needed")
        return values


def read_directory(file: BinaryIO, offset: int, size: int, endian: str, *, big: bool) -> Directory:
    """Read the directory at an offset of a file of this size.

    Raises
    ------
    BadPayloadError
        If it does not lie within the file, or is larger than any that is needed.
    """
    count_format, entry_format, pointer = ("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")
    entry, count_bytes = struct.Struct(endian + entry_format), struct.calcsize("=" + count_format)
    (count,) = struct.unpack(endian + count_format, _read(file, offset, count_bytes, size))
    if not 0 < count <= _MOST_TAGS:
        raise BadPayloadError(f"a directory of the TIFF file has {count} tags; 1 to {_MOST_TAGS} are read")
    table_bytes, pointer_bytes = count * entry.size, struct.calcsize("=" + pointer)
    table = _read(file, offset + count_bytes, table_bytes + pointer_bytes, size)
    entries: dict[int, tuple[int, ...]] = {}
    read = count_bytes + len(table)
    for tag, kind, number, inline in entry.iter_unpack(table[:table_bytes]):
        if tag not in _NUMBERS or tag in entries:
            continue
        if kind not in _FORMATS:
            raise BadPayloadError(f"the TIFF image gives its {Tag(tag).name} as type {kind}, which is no whole number")
        letters = f"{endian}{number}{_FORMATS[kind]}"
        length = number * struct.calcsize("=" + _FORMATS[kind])
        check_room(size, length, "its directories")
        if length <= len(inline):
            entries[tag] = struct.unpack(letters, inline[:length])
        else:
            (position,) = struct.unpack(endian + pointer, inline)
            entries[tag] = struct.unpack(letters, _read(file, position, length, size))
            read += length
    (next_offset,) = struct.unpack(endian + pointer, table[table_bytes:])
    return Directory(endian, entries, next_offset, read)


def check_room(size: int, needed: int, what: str) -> None:
    """Refuse a file that is smaller than what it announces."""
    if needed > size:
        raise BadPayloadError(f"the TIFF file is truncated: {what} would take {needed} bytes of {size}")


def _read(file: BinaryIO, offset: int, length: int, size: int) -> bytes:
    check_room(size, offset + length, "its directories")
    file.seek(offset)
    data = file.read(length)
    check_room(len(data), length, "its directories")
    return data
