"""TIFF, read up to where the samples lie, and written anew for a decoder with nothing else in it.

A TIFF file is a web of offsets: a hundred thousand directories may form a chain, tags may point at each other's bytes,
tiles may be a thousand times larger than the image. Here every count is compared with the size of the file or of the
image before anything is read or decoded. What a decoder then gets is one directory of one image.
"""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from schemas.errors import BadPayloadError, OversizeError
from stream.codec.tiff_tags import Directory, Tag, check_room, read_directory

_HEADERS = {b"II*\0": ("<", False), b"MM\0*": (">", False), b"II+\0": ("<", True), b"MM\0+": (">", True)}
_DTYPES = {(8, 1): "uint8", (16, 1): "uint16", (32, 3): "float32"}
"""dtype by bits and sample format (1 unsigned, 3 float)."""
_NOT_COMPRESSED = 1
_COMPRESSIONS = {_NOT_COMPRESSED: "none", 5: "LZW", 8: "Deflate", 32773: "PackBits", 32946: "Deflate"}
_PREDICTORS = (1, 2, 3)
_ORIENTATIONS = range(1, 9)
_TILE_UNIT = 16
_MOST_TILED = 4
"""The tiles of an image cover at most this many times the pixels that it may have."""


@dataclass(frozen=True, slots=True)
class TiffPage:
    """One image of a TIFF file, before its samples are read.

    Attributes
    ----------
    height, width : int
        Rows and columns as stored; ``orientation`` may turn them.
    dtype : str
        Of the samples.
    endian : {"<", ">"}
        Byte order of the file.
    compression, predictor, orientation : int
        As TIFF numbers them.
    white_is_zero : bool
        Whether the values are stored inverted.
    tile : (int, int) or None
        Rows and columns of its tiles; None for strips.
    rows_per_strip : int
        Rows of a strip, at most ``height``.
    segments : tuple of (int, int)
        Offset and length of each strip or tile, in order.
    """

    height: int
    width: int
    dtype: str
    endian: str
    compression: int
    predictor: int
    orientation: int
    white_is_zero: bool
    tile: tuple[int, int] | None
    rows_per_strip: int
    segments: tuple[tuple[int, int], ...]


def read_pages(file: BinaryIO, max_pixels: int) -> Iterator[TiffPage]:
    """Yield the images of a file in order; takes time in proportion to the size of the file.

    Raises
    ------
    BadPayloadError
        If it is no TIFF file, or a directory of it cannot be read.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(16)
    if head[:4] not in _HEADERS:
        raise BadPayloadError("this is no TIFF file, although it is called one")
    endian, big = _HEADERS[head[:4]]
    check_room(len(head), 16 if big else 8, "its header")
    if big:
        offset_bytes, zero, offset = struct.unpack(endian + "HHQ", head[4:16])
        if (offset_bytes, zero) != (8, 0):
            raise BadPayloadError("the header of the TIFF file is damaged")
    else:
        (offset,) = struct.unpack(endian + "I", head[4:8])
    seen: set[int] = set()
    read = 0
    while offset:
        if offset in seen:
            raise BadPayloadError("the directories of the TIFF file go round in a circle")
        seen.add(offset)
        directory = read_directory(file, offset, size, endian, big=big)
        # Directories that do not overlap fit into the file together; those that do could be read for ever.
        read += directory.size_bytes
        check_room(size, read, "its directories")
        yield _page(directory, size, max_pixels)
        offset = directory.next_offset
    if not seen:
        raise BadPayloadError("the TIFF file holds no image")


def plain_tiff(file: BinaryIO, page: TiffPage) -> bytes:
    """Return a file with this one image; never larger than the original by more than its directory.

    Raises
    ------
    BadPayloadError
        If the samples end early.
    """
    parts = []
    for offset, length in page.segments:
        file.seek(offset)
        parts.append(part := file.read(length))
        if len(part) != length:
            raise BadPayloadError("the TIFF file is truncated")
    bits, sample_format = next(key for key, dtype in _DTYPES.items() if dtype == page.dtype)
    values: dict[Tag, tuple[int, ...]] = {
        Tag.WIDTH: (page.width,),
        Tag.LENGTH: (page.height,),
        Tag.BITS: (bits,),
        Tag.COMPRESSION: (page.compression,),
        Tag.PHOTOMETRIC: (1,),
        Tag.ORIENTATION: (page.orientation,),
        Tag.SAMPLES: (1,),
        Tag.PREDICTOR: (page.predictor,),
        Tag.SAMPLE_FORMAT: (sample_format,),
    }
    lengths = tuple(len(part) for part in parts)
    if page.tile is None:
        offsets_tag, more = Tag.STRIP_OFFSETS, {Tag.ROWS_PER_STRIP: (page.rows_per_strip,), Tag.STRIP_COUNTS: lengths}
    else:
        rows, columns = page.tile
        offsets_tag = Tag.TILE_OFFSETS
        more = {Tag.TILE_WIDTH: (columns,), Tag.TILE_LENGTH: (rows,), Tag.TILE_COUNTS: lengths}
    values |= more | {offsets_tag: lengths}  # in the place of the offsets, which take as much room
    start = 8 + 2 + 12 * len(values) + 4 + sum(4 * len(v) for v in values.values() if len(v) > 1)
    position, offsets = start, []
    for length in lengths:
        offsets.append(position)
        position += length
    values[offsets_tag] = tuple(offsets)
    return _directory(page.endian, dict(sorted(values.items()))) + b"".join(parts)


def _directory(endian: str, values: dict[Tag, tuple[int, ...]]) -> bytes:
    mark = b"II*\0" if endian == "<" else b"MM\0*"
    entries, beyond = [], []
    position = 8 + 2 + 12 * len(values) + 4
    for tag, numbers in values.items():
        packed = struct.pack(f"{endian}{len(numbers)}I", *numbers)
        if len(numbers) > 1:
            entries.append(struct.pack(endian + "HHII", tag, 4, len(numbers), position))
            beyond.append(packed)
            position += len(packed)
        else:
            entries.append(struct.pack(endian + "HHI", tag, 4, 1) + packed)
    head = mark + struct.pack(endian + "IH", 8, len(values))
    return b"".join([head, *entries, b"\0\0\0\0", *beyond])


def _page(directory: Directory, size: int, max_pixels: int) -> TiffPage:
    dtype, white_is_zero = _samples(directory)
    height, width = directory.one(Tag.LENGTH), directory.one(Tag.WIDTH)
    if height < 1 or width < 1:
        raise BadPayloadError(f"an image of {height} x {width} pixels is empty")
    compression = directory.one(Tag.COMPRESSION, _NOT_COMPRESSED)
    if compression not in _COMPRESSIONS:
        names = ", ".join(sorted(set(_COMPRESSIONS.values())))
        raise BadPayloadError(f"the TIFF image is compressed by method {compression}; {names} are read")
    predictor, orientation = directory.one(Tag.PREDICTOR, 1), directory.one(Tag.ORIENTATION, 1)
    if predictor not in _PREDICTORS or orientation not in _ORIENTATIONS:
        raise BadPayloadError("the TIFF image has a predictor or an orientation that no standard knows")
    tile = _tile(directory, height, width, max_pixels) if Tag.TILE_OFFSETS in directory else None
    rows = min(directory.one(Tag.ROWS_PER_STRIP, height) or height, height)
    page = TiffPage(
        height=height,
        width=width,
        dtype=dtype,
        endian=directory.endian,
        compression=compression,
        predictor=predictor,
        orientation=orientation,
        white_is_zero=white_is_zero,
        tile=tile,
        rows_per_strip=rows,
        segments=_segments(directory, -(-height // rows), Tag.STRIP_OFFSETS, Tag.STRIP_COUNTS)
        if tile is None
        else _segments(directory, _tiles(height, width, tile), Tag.TILE_OFFSETS, Tag.TILE_COUNTS),
    )
    _check_segments(page, size)
    return page


def _samples(directory: Directory) -> tuple[str, bool]:
    """Return the dtype, and whether the values are stored inverted."""
    if directory.one(Tag.SAMPLES, 1) != 1 or directory.one(Tag.PHOTOMETRIC, 1) > 1:
        raise BadPayloadError("the TIFF image has several channels; one grey channel is read, colour is not")
    bits, sample_format = directory.one(Tag.BITS, 1), directory.one(Tag.SAMPLE_FORMAT, 1)
    dtype = _DTYPES.get((bits, sample_format))
    if dtype is None or directory.one(Tag.FILL_ORDER, 1) != 1:
        raise BadPayloadError(
            f"the TIFF image has samples of {bits} bits and format {sample_format}; "
            "unsigned ones of 8 or 16 bits and floats of 32 bits are read, colour is not"
        )
    white_is_zero = directory.one(Tag.PHOTOMETRIC, 1) == 0
    if white_is_zero and dtype == "float32":
        raise BadPayloadError("the TIFF image is inverted, which means nothing for floats")
    return dtype, white_is_zero


def _tile(directory: Directory, height: int, width: int, max_pixels: int) -> tuple[int, int]:
    tile = rows, columns = directory.one(Tag.TILE_LENGTH), directory.one(Tag.TILE_WIDTH)
    if not all(side > 0 and side % _TILE_UNIT == 0 for side in tile):
        raise BadPayloadError(f"the TIFF image has tiles of {rows} x {columns} pixels, no multiples of {_TILE_UNIT}")
    if _tiles(height, width, tile) * rows * columns > _MOST_TILED * max_pixels:
        raise OversizeError(f"the TIFF image of {height} x {width} pixels has tiles of {rows} x {columns}")
    return tile


def _tiles(height: int, width: int, tile: tuple[int, int]) -> int:
    return -(-height // tile[0]) * -(-width // tile[1])


def _segments(directory: Directory, count: int, offsets: Tag, lengths: Tag) -> tuple[tuple[int, int], ...]:
    return tuple(zip(directory.many(offsets, count), directory.many(lengths, count), strict=True))


def _check_segments(page: TiffPage, size: int) -> None:
    # What does not overlap fits into the file together; what does could be decoded for ever.
    check_room(size, sum(length for _, length in page.segments), "its samples")
    itemsize = np.dtype(page.dtype).itemsize
    for number, (offset, length) in enumerate(page.segments):
        check_room(size, offset + length, "its samples")
        if page.compression != _NOT_COMPRESSED:
            continue
        left = page.height - number * page.rows_per_strip
        pixels = min(left, page.rows_per_strip) * page.width if page.tile is None else page.tile[0] * page.tile[1]
        if length < pixels * itemsize:
            raise BadPayloadError(f"the TIFF image is truncated: a part of {pixels * itemsize} bytes has {length}")
