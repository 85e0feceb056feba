"""Every limit, at it and one beyond, and the inputs that would cost more than their size lets expect."""

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from schemas import LabelledFrame
from schemas.errors import BadPayloadError, BadRecordError, OversizeError
from schemas.topics import FRAMES, LABELS, MIB
from stream.codec import FrameLimits, decode_event, decode_frame, decode_label, encode_frame
from stream.codec.cloudevents import LONGEST_ATTRIBUTE, MOST_ATTRIBUTES, read_headers
from stream.codec.events import MOST_VALUES
from stream.codec.images import decode_image, encode_image
from stream.sources import ImageFolder, TiffStack
from tests.contracts.source import ACQUISITION
from tests.fuzz import seeds
from tests.unit.stream.samples import Record, arrived, make_frame, speckle

LIMITS = FrameLimits()
LABEL = arrived(seeds.event(LABELS))
FRAME = arrived(encode_frame(make_frame(), speckle("uint8", seeds.SHAPE), topic="t", source="s"))
KINDS = [("uint8", "image/png"), ("uint16", "image/tiff"), ("float32", "application/octet-stream")]


def cost(read: Callable[[], object]) -> tuple[object, int]:
    """Return what came of it, and the most bytes of Python's and numpy's memory that it took meanwhile."""
    tracemalloc.start()
    try:
        try:
            found: object = read()
        except BadRecordError as error:
            found = error
        return found, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("dtype", "media_type"), KINDS)
def test_bytes_and_pixels_of_an_image(dtype: str, media_type: str) -> None:
    data = encode_image(speckle(dtype, (8, 9)), media_type)
    raw = {"dtype": dtype, "shape": (8, 9)}
    decode_image(data, media_type, FrameLimits(max_bytes=len(data), max_pixels=72), **raw)
    for limits in (FrameLimits(max_bytes=len(data) - 1), FrameLimits(max_pixels=71)):
        with pytest.raises(OversizeError):
            decode_image(data, media_type, limits, **raw)


def test_bytes_of_a_label() -> None:
    size = len(LABEL.value or b"")
    decode_label(LABEL, LIMITS, seeds.CLASSES, max_bytes=size)
    with pytest.raises(OversizeError, match=f"{size} bytes"):
        decode_label(LABEL, LIMITS, seeds.CLASSES, max_bytes=size - 1)


def test_bytes_of_an_event_by_its_topic() -> None:
    padded = replace(LABEL, value=(LABEL.value or b"").ljust(LABELS.max_message_bytes))
    decode_event(padded, LABELS, LabelledFrame)
    with pytest.raises(OversizeError):
        decode_event(replace(padded, value=(padded.value or b"") + b" "), LABELS, LabelledFrame)


def test_values_of_an_event() -> None:
    def with_codes(count: int) -> Record:
        codes = b",".join([b"1"] * count)
        return replace(LABEL, value=(LABEL.value or b"").replace(b'"classes":[', b'"classes":[' + codes + b",", 1))

    fewer = MOST_VALUES - 1 - (LABEL.value or b"").count(b",")
    decode_event(with_codes(fewer), LABELS, LabelledFrame)
    with pytest.raises(OversizeError, match="values"):
        decode_event(with_codes(fewer + 1), LABELS, LabelledFrame)


@pytest.mark.parametrize("item", [b"1", b'"x"', b"{}", b"null"])
@pytest.mark.parametrize("field", [b'"reasons":[', b'"classes":[', b'"indications":['])
def test_a_list_of_nonsense_costs_no_more_than_its_size_lets_expect(field: bytes, item: bytes) -> None:
    value = (LABEL.value or b"").replace(field, field + b",".join([item] * 1_000_000)[: 3 * MIB] + b",", 1)
    found, taken = cost(lambda: decode_label(replace(LABEL, value=value), LIMITS, seeds.CLASSES))
    assert isinstance(found, OversizeError)
    assert taken < MIB


@pytest.mark.parametrize("opening", [b"[", b'{"frame":', b'{"judgement":{"mask":'])
def test_json_in_json_in_json(opening: bytes) -> None:
    with pytest.raises(BadPayloadError, match="recursion limit exceeded"):
        decode_label(replace(LABEL, value=opening * 100_000), LIMITS, seeds.CLASSES)


def test_classes_of_a_label() -> None:
    codes = tuple(range(1, 256))
    mask = np.zeros(seeds.SHAPE, np.uint8)
    limit = seeds.label(classes=codes, judgement=None)
    record = replace(LABEL, value=limit.model_dump_json().encode())
    with pytest.raises(BadRecordError, match="not configured"):
        decode_label(record, LIMITS, seeds.CLASSES)
    more = seeds.label(classes=(*codes, 256), judgement=None)
    with pytest.raises(BadRecordError, match="256 classes"):
        decode_label(replace(LABEL, value=more.model_dump_json().encode()), LIMITS, seeds.CLASSES)
    assert not mask.any()


def test_attributes_of_an_event() -> None:
    extra = tuple((f"ce_x{number}", b"1") for number in range(MOST_ATTRIBUTES - len(FRAME.headers)))
    decode_frame(replace(FRAME, headers=FRAME.headers + extra), LIMITS)
    with pytest.raises(OversizeError, match="attributes"):
        decode_frame(replace(FRAME, headers=(*FRAME.headers, *extra, ("ce_y", b"1"))), LIMITS)
    # Headers of other systems are no attributes, however many there are.
    decode_frame(replace(FRAME, headers=FRAME.headers + (("trace", b"x" * 10_000),) * 10_000), LIMITS)


def test_bytes_of_an_attribute() -> None:
    room = LONGEST_ATTRIBUTE - len("ce_x")
    read_headers(replace(FRAME, headers=(*FRAME.headers, ("ce_x", b"x" * room))), FRAMES.event_type)
    for header in (("ce_x", b"x" * (room + 1)), ("ce_" + "x" * LONGEST_ATTRIBUTE, b"")):
        with pytest.raises(OversizeError, match="bytes") as refused:
            read_headers(replace(FRAME, headers=(*FRAME.headers, header)), FRAMES.event_type)
        assert len(str(refused.value)) < 200


def test_what_was_sent_does_not_make_the_error_long() -> None:
    unknown = b'{"' + b"x\\n" * MIB + b'":1,' + (LABEL.value or b"")[1:]
    with pytest.raises(BadPayloadError) as refused:
        decode_label(replace(LABEL, value=unknown), LIMITS, seeds.CLASSES)
    assert len(str(refused.value)) < 500
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_text_that_inflates_in_a_png(kind: bytes) -> None:
    bomb = zlib.compress(bytes(MIB), 9)
    body = {b"zTXt": b"%d\0\0", b"iTXt": b"%d\0\1\0\0\0", b"iCCP": b"%d\0\0"}[kind]
    chunks = b"".join(seeds.png_chunk(kind, body % number + bomb) for number in range(500))
    plain = encode_image(speckle("uint8", seeds.SHAPE), "image/png")
    data = plain[:33] + chunks + plain[33:-12] + chunks + plain[-12:]
    found, taken = cost(lambda: decode_image(data, "image/png", LIMITS))
    np.testing.assert_array_equal(found, speckle("uint8", seeds.SHAPE))
    assert taken < MIB


@pytest.mark.parametrize(("rows", "columns"), [(2**31 - 1, 2**31 - 1), (2**21, 3), (1, 2**22 + 1)])
def test_a_png_that_announces_more_than_is_accepted(rows: int, columns: int) -> None:
    found, taken = cost(lambda: decode_image(seeds.png(b"", rows=rows, columns=columns), "image/png", LIMITS))
    assert isinstance(found, OversizeError)
    assert taken < MIB


def test_a_png_that_holds_more_than_it_announces() -> None:
    data = seeds.png(zlib.compress(bytes(64 * MIB), 9))
    found, taken = cost(lambda: decode_image(data, "image/png", LIMITS))
    assert isinstance(found, BadPayloadError)
    assert taken < 2 * MIB


def test_the_largest_png_takes_a_multiple_of_its_pixels() -> None:
    data = seeds.png(zlib.compress(bytes(2048 * 4097), 9), rows=2048, columns=2048, depth=16)
    assert len(data) < 16 * 1024
    found, taken = cost(lambda: decode_image(data, "image/png", LIMITS))
    assert isinstance(found, np.ndarray)
    assert taken < 8 * 2 * LIMITS.max_pixels


def chain(directories: int) -> bytes:
    """A TIFF of so many directories, each of the same nine pixels."""
    tags = {256: 3, 257: 3, 258: 8, 259: 1, 262: 1, 273: 0, 277: 1, 278: 3, 279: 9}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    size = 2 + len(entries) + 4
    parts = [b"II*\0" + struct.pack("<I", 8)]
    for number in range(directories):
        following = 8 + (number + 1) * size if number + 1 < directories else 0
        parts.append(struct.pack("<H", len(tags)) + entries + struct.pack("<I", following))
    return b"".join(parts)


def test_a_chain_of_directories(tmp_path: Path) -> None:
    data = chain(30_000)
    found, taken = cost(lambda: decode_image(data, "image/tiff", LIMITS))
    assert isinstance(found, BadPayloadError)
    assert taken < MIB
    (tmp_path / "stack.tif").write_bytes(data)
    assert len(TiffStack(tmp_path / "stack.tif", ACQUISITION)) == 30_000


GREY = {258: 8, 259: 1, 262: 1, 277: 1}


@pytest.mark.parametrize(
    ("tags", "error"),
    [
        ({256: 2**32 - 1, 257: 2**32 - 1, 273: 8, 278: 2**32 - 1, 279: 4}, BadPayloadError),
        ({256: 2**31, 257: 1, 259: 5, 273: 8, 279: 4}, OversizeError),
        ({256: 9, 257: 8, 259: 8, 322: 65536, 323: 65536, 324: 8, 325: 4}, OversizeError),
        ({256: 9, 257: 8, 322: 16, 323: 2**32 - 16, 324: 8, 325: 4}, OversizeError),
        ({256: 9, 257: 8, 322: 0, 323: 16, 324: 8, 325: 4}, BadPayloadError),
        ({256: 9, 257: 8, 273: 2**32 - 1, 279: 72}, BadPayloadError),
        ({256: 9, 257: 8, 273: 8, 279: 2**32 - 1}, BadPayloadError),
        ({256: 9, 257: 8, 273: 8, 278: 1, 279: 72}, BadPayloadError),
        ({256: 9, 257: 8, 273: 8, 279: 71}, BadPayloadError),
    ],
)
def test_a_tiff_that_announces_more_than_it_holds(tags: dict[int, int], error: type[Exception]) -> None:
    entries = [(tag, 4, 1, value) for tag, value in sorted((GREY | tags).items())]
    found, taken = cost(lambda: decode_image(seeds.tiff(entries, bytes(100)), "image/tiff", LIMITS))
    assert isinstance(found, error), found
    assert taken < MIB


def test_tags_that_point_at_the_same_bytes() -> None:
    # A hundred strips that all are the whole file.
    count, start = 100, 8 + 2 + 12 * 9 + 4
    values = {256: 9, 257: 100, **GREY, 259: 5, 278: 1}
    entries = [(tag, 4, 1, value) for tag, value in values.items()]
    entries += [(273, 4, count, start), (279, 4, count, start + 4 * count)]
    size = start + 8 * count + 5000
    arrays = struct.pack("<100I", *[8] * count) + struct.pack("<100I", *[size - 8] * count)
    with pytest.raises(BadPayloadError, match="truncated"):
        decode_image(seeds.tiff(sorted(entries), arrays + bytes(5000)), "image/tiff", LIMITS)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_a_tiff_that_expands(compression: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((2048, 2048), np.uint8)).save(buffer, "TIFF", compression=compression)
    found, taken = cost(lambda: decode_image(buffer.getvalue(), "image/tiff", LIMITS))
    assert isinstance(found, np.ndarray)
    assert found.shape == (2048, 2048)
    assert taken < 8 * LIMITS.max_pixels
    for at in (len(buffer.getvalue()) // 2, 40):
        with pytest.raises(BadPayloadError):
            decode_image(buffer.getvalue()[:at], "image/tiff", LIMITS)


def test_tags_of_a_directory() -> None:
    with pytest.raises(BadPayloadError, match="65535 tags"):
        decode_image(seeds.tiff([], bytes(200), count=65535), "image/tiff", LIMITS)
    big = b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, 2**63) + bytes(100)
    with pytest.raises(BadPayloadError, match="tags"):
        decode_image(big, "image/tiff", LIMITS)


def test_scans_and_size_of_a_jpeg(tmp_path: Path) -> None:
    plain = seeds.jpegs()[0]
    at = plain.index(b"\xff\xc0") + 5
    for data in (plain[:at] + b"\xff\xff\xff\xff" + plain[at + 4 :], plain + b"\xff\xda" * 100):
        (tmp_path / "image.jpg").write_bytes(data)
        with pytest.raises(OversizeError, match=r"image\.jpg"):
            list(ImageFolder(tmp_path, ACQUISITION))
