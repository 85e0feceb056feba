"""PNG, reduced to what an image of one channel needs before a decoder sees it.

A decoder follows everything that a file may carry: text that inflates to a thousand times its size, colour profiles,
animations. None of it is part of a frame, so only the header and the samples are handed on, with their checksums
checked and exactly as many samples as the header announces: a file that ends early would otherwise decode to an image
whose lower part is black.
"""

import struct
import zlib
from collections.abc import Iterator

from schemas.errors import BadPayloadError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNK = struct.Struct(">I4s")
_HEADER = struct.Struct(">IIBBBBB")
_CRC_BYTES = 4
_KNOWN_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_GREY = 0
_DEPTHS = {8, 16}
_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""First row, first column and the steps of both, of each pass of an interlaced image."""


def png_size(data: bytes) -> tuple[int, int]:
    """Return rows and columns, from the first 33 bytes.

    Raises
    ------
    BadPayloadError
        If it is no PNG image, or not greyscale of 8 or 16 bits.
    """
    height, width, _, _ = _read_header(data)
    return height, width


def plain_png(data: bytes) -> bytes:
    """Return the same image without anything but its header and its samples, not compressed.

    Takes memory in proportion to the announced size, which must have been checked (:func:`png_size`).

    Raises
    ------
    BadPayloadError
        If a chunk is damaged, or the samples are not as many as the header announces.
    """
    height, width, depth, interlaced = _read_header(data)
    samples = _inflate(b"".join(_sample_chunks(data)), _expected(height, width, depth // 8, interlaced=interlaced))
    start = len(SIGNATURE) + _CHUNK.size
    header = data[start : start + _HEADER.size]
    return b"".join(
        [
            SIGNATURE,
            _chunk(b"IHDR", header),
            # Level 0 only wraps: the decoder undoes the filters and has nothing left to inflate.
            _chunk(b"IDAT", zlib.compress(samples, 0)),
            _chunk(b"IEND", b""),
        ]
    )


def _read_header(data: bytes) -> tuple[int, int, int, bool]:
    if not data.startswith(SIGNATURE):
        raise BadPayloadError("the payload is no PNG image, although its content type says so")
    start = len(SIGNATURE) + _CHUNK.size
    if len(data) < start + _HEADER.size + _CRC_BYTES:
        raise BadPayloadError("the PNG image is truncated")
    length, kind = _CHUNK.unpack_from(data, len(SIGNATURE))
    if kind != b"IHDR" or length != _HEADER.size:
        raise BadPayloadError("the PNG image has no header")
    width, height, depth, colour, compression, filtering, interlace = _HEADER.unpack_from(data, start)
    # Decoders stretch the values of 1, 2 and 4 bits to 0..255 and turn a palette into colours.
    if colour != _GREY or depth not in _DEPTHS:
        raise BadPayloadError(
            "the PNG image is not greyscale of 8 or 16 bits "
            f"(colour type {colour}, {depth} bits); colour images and palettes are not read"
        )
    if compression or filtering or interlace > 1:
        raise BadPayloadError("the PNG image uses a compression, filter or interlacing that no standard knows")
    return height, width, depth, bool(interlace)


def _sample_chunks(data: bytes) -> Iterator[memoryview]:
    """Yield what the IDAT chunks hold; other chunks that may be left out are left out unread."""
    view = memoryview(data)
    position, ended = len(SIGNATURE), False
    while not ended:
        if position + _CHUNK.size + _CRC_BYTES > len(data):
            raise BadPayloadError("the PNG image is truncated")
        length, kind = _CHUNK.unpack_from(data, position)
        body, end = position + _CHUNK.size, position + _CHUNK.size + length
        if end + _CRC_BYTES > len(data):
            raise BadPayloadError("the PNG image is truncated")
        if not kind[0] & 0x20:  # an upper-case first letter: whoever does not know the chunk cannot show the image
            if kind not in _KNOWN_CRITICAL or (kind == b"IHDR" and position != len(SIGNATURE)):
                raise BadPayloadError(f"the PNG image has a chunk {kind!r} that is not read")
            if zlib.crc32(view[position + 4 : end]) != int.from_bytes(view[end : end + _CRC_BYTES], "big"):
                raise BadPayloadError(f"the PNG image is damaged: the checksum of its chunk {kind!r} is wrong")
        if kind == b"IDAT":
            yield view[body:end]
        ended = kind == b"IEND"
        position = end + _CRC_BYTES


def _inflate(deflated: bytes, expected: int) -> bytes:
    stream = zlib.decompressobj()
    try:
        samples = stream.decompress(deflated, expected + 1)
    except zlib.error as error:
        raise BadPayloadError(f"the PNG image is damaged: {error}") from None
    if len(samples) > expected:
        raise BadPayloadError(f"the PNG image holds more than the {expected} bytes that its size takes")
    if len(samples) < expected or not stream.eof:
        raise BadPayloadError(f"the PNG image holds {len(samples)} bytes, but its size takes {expected}")
    return samples


def _expected(height: int, width: int, sample_bytes: int, *, interlaced: bool) -> int:
    """Return the bytes of all lines, each with one more that names its filter."""
    if not interlaced:
        return height * (1 + width * sample_bytes)
    total = 0
    for top, left, row_step, column_step in _ADAM7:
        rows, columns = -(-(height - top) // row_step), -(-(width - left) // column_step)
        if rows > 0 and columns > 0:
            total += rows * (1 + columns * sample_bytes)
    return total


def _chunk(kind: bytes, body: bytes) -> bytes:
    return _CHUNK.pack(len(body), kind) + body + zlib.crc32(body, zlib.crc32(kind)).to_bytes(_CRC_BYTES, "big")
