"""What fuzzing found in PNG and TIFF, and the kinds of both that are read."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from schemas.errors import BadPayloadError, BadRecordError
from stream.codec import FrameLimits
from stream.codec.images import decode_image, encode_image
from tests.unit.stream.samples import speckle

LIMITS = FrameLimits()
PIXELS = speckle("uint8", (8, 9))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))


def png(lines: bytes, extra: bytes = b"", interlace: int = 0, ending: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 8, 8, 0, 0, 0, interlace))
    body = chunk(b"IDAT", zlib.compress(lines))
    return b"\x89PNG\r\n\x1a\n" + header + extra + body + ending + chunk(b"IEND", b"")


LINES = b"".join(b"\0" + row.tobytes() for row in PIXELS)


def read_png(data: bytes) -> NDArray[np.generic]:
    return decode_image(data, "image/png", LIMITS)


def read_tiff(data: bytes) -> NDArray[np.generic]:
    return decode_image(data, "image/tiff", LIMITS)


@pytest.mark.parametrize("lines", [LINES[:40], LINES + b"\0", b""], ids=["too few", "too many", "none"])
def test_a_png_holds_exactly_its_samples(lines: bytes) -> None:
    # Too few used to decode to an image whose lower part was black.
    with pytest.raises(BadPayloadError, match="its size takes"):
        read_png(png(lines))


def test_a_damaged_png_is_refused() -> None:
    good = png(LINES)
    for at in range(8, len(good) - 12):
        changed = bytearray(good)
        changed[at] ^= 0x10
        with pytest.raises(BadRecordError):
            read_png(bytes(changed))


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"acTL", bytes(8)),
        chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 2, 2, 0, 0, 1, 1, 0, 0)),
        chunk(b"iCCP", b"no zero"),
        chunk(b"tRNS", b""),
        chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2_000_000))),
    ],
    ids=["animation", "a part of an animation", "profile", "transparency", "text"],
)
def test_what_is_no_part_of_a_frame_changes_nothing(extra: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_png(png(LINES, extra, ending=extra)), PIXELS)


@pytest.mark.parametrize("extra", [chunk(b"ABCD", b"x"), chunk(b"IHDR", bytes(13))])
def test_a_part_that_cannot_be_left_out_is_refused(extra: bytes) -> None:
    with pytest.raises(BadPayloadError, match="not read"):
        read_png(png(LINES, extra))


def test_interlaced_png() -> None:
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    lines = b"".join(
        b"\0" + row.tobytes() for top, left, down, right in passes for row in PIXELS[top::down, left::right]
    )
    np.testing.assert_array_equal(read_png(png(lines, interlace=1)), PIXELS)
    with pytest.raises(BadPayloadError, match="its size takes"):
        read_png(png(LINES, interlace=1))


def tiff(tags: dict[int, int | tuple[int, ...]], data: bytes, endian: str = "<", *, big: bool = False) -> bytes:
    """A TIFF of one directory, its data at 512."""
    out, extra = [], b""
    entry, room, pointer = ("HHQ", 8, "Q") if big else ("HHI", 4, "I")
    for tag, value in sorted(tags.items()):
        values = value if isinstance(value, tuple) else (value,)
        packed = struct.pack(f"{endian}{len(values)}I", *values)
        if len(packed) > room:
            at = 400 + len(extra)
            extra += packed
            packed = struct.pack(endian + pointer, at)
        out.append(struct.pack(endian + entry, tag, 4, len(values)) + packed.ljust(room, b"\0"))
    mark = (b"II" if endian == "<" else b"MM") + struct.pack(endian + "H", 43 if big else 42)
    head = mark + (struct.pack(endian + "HHQQ", 8, 0, 16, len(out)) if big else struct.pack(endian + "IH", 8, len(out)))
    file = head + b"".join(out) + struct.pack(endian + pointer, 0)
    return (file.ljust(400, b"\0") + extra).ljust(512, b"\0") + data


GREY: dict[int, int | tuple[int, ...]] = {256: 9, 257: 8, 258: 8, 259: 1, 262: 1, 277: 1, 273: 512, 278: 8, 279: 72}


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_byte_orders_and_sizes_of_tiff(dtype: str, endian: str, big: bool) -> None:
    pixels = speckle(dtype, (8, 9))
    stored = pixels.astype(pixels.dtype.newbyteorder(endian))
    tags = GREY | {258: 8 * pixels.itemsize, 279: pixels.nbytes, 339: 3 if dtype == "float32" else 1}
    found = read_tiff(tiff(tags, stored.tobytes(), endian, big=big))
    np.testing.assert_array_equal(found, pixels, strict=True)


def test_strips_tiles_and_orientation() -> None:
    rows = PIXELS.tobytes()
    # The last strip lies first in the file: offsets, not the order, say what is where.
    strips = GREY | {278: 3, 273: (512 + 18, 512 + 45, 512), 279: (27, 27, 18)}
    np.testing.assert_array_equal(read_tiff(tiff(strips, rows[54:] + rows[:54])), PIXELS)
    tile = np.zeros((16, 16), np.uint8)
    tile[:8, :9] = PIXELS
    tiles = {tag: value for tag, value in GREY.items() if tag not in {273, 278, 279}}
    tiles |= {322: 16, 323: 16, 324: 512, 325: 256}
    np.testing.assert_array_equal(read_tiff(tiff(tiles, tile.tobytes())), PIXELS)
    np.testing.assert_array_equal(read_tiff(tiff(GREY | {274: 6}, rows)), np.rot90(PIXELS, -1))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_an_inverted_tiff_is_read_as_it_is_meant(dtype: str) -> None:
    pixels = speckle(dtype, (8, 9))
    tags = GREY | {258: 8 * pixels.itemsize, 279: pixels.nbytes, 262: 0}
    np.testing.assert_array_equal(read_tiff(tiff(tags, np.invert(pixels).tobytes())), pixels, strict=True)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_compressed_tiff(compression: str, dtype: str) -> None:
    pixels = speckle(dtype, (40, 30))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "TIFF", compression=compression)
    np.testing.assert_array_equal(read_tiff(buffer.getvalue()), pixels, strict=True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({258: 4}, "4 bits"),
        ({258: 16, 339: 2, 279: 144}, "format 2"),
        ({266: 2}, "samples"),
        ({259: 7}, "method 7"),
        ({262: 3}, "channels"),
        ({274: 9}, "orientation"),
        ({257: 0}, "empty"),
        ({279: 71}, "truncated"),
        ({273: 513}, "truncated"),
        ({278: 4}, "2 are needed"),
    ],
)
def test_other_tiff_is_refused(changes: dict[int, int], words: str) -> None:
    with pytest.raises(BadPayloadError, match=words):
        read_tiff(tiff(GREY | changes, PIXELS.tobytes()))


def test_a_tiff_whose_directories_go_round_in_a_circle() -> None:
    data = bytearray(tiff(GREY, PIXELS.tobytes()))
    data[10 + 12 * len(GREY) : 14 + 12 * len(GREY)] = struct.pack("<I", 8)
    with pytest.raises(BadPayloadError, match=r"several|circle"):
        read_tiff(bytes(data))


def test_what_we_write_is_written_back_the_same() -> None:
    for dtype, media_type in (("uint8", "image/png"), ("uint16", "image/png"), ("float32", "image/tiff")):
        data = encode_image(speckle(dtype), media_type)
        assert encode_image(decode_image(data, media_type, LIMITS), media_type) == data
