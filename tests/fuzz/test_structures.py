"""Inputs whose structure is right and whose content is not: checksums hold, only the meaning is wrong."""

import json
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import LABELS, Topic
from tests.fuzz import seeds
from tests.fuzz.records import pack_record, unpack_record
from tests.fuzz.tally import Tally, examples
from tests.fuzz.targets import EVENT_CHECKS, EVENTS, TARGETS

pytestmark = pytest.mark.timeout(0)

NUMBERS = st.sampled_from([0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1])
SCALARS = (
    st.sampled_from(["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-999", "9" * 400, "9" * 4301, "-0", "0.1"])
    | st.sampled_from(
        ["null", "true", '""', '"\\u0000"', '"\\ud800"', '"NaN"', '"1_0"', '"' + "x" * 300 + '"', "[]", "{}"]
    )
    | st.sampled_from(["[" * 300 + "]" * 300, '{"a":' * 300 + "1" + "}" * 300, '"0001-01-01T00:00:00+23:59"'])
    | st.sampled_from(['"9999-12-31T23:59:59.999999-23:59"', '"2026-01-01T00:00:00"', "1e18", "253402300800", "-1"])
    | st.integers().map(str)
    | st.text(max_size=20).map(json.dumps)
    | st.datetimes(timezones=st.timezones()).map(lambda t: json.dumps(t.isoformat()))
)


def places(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """The path of every value in a JSON document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inside for place in places(part, (*path, key)))]


def rewritten(value: object, changes: dict[tuple[object, ...], str], path: tuple[object, ...] = ()) -> str:
    """JSON with some values replaced by what may be no JSON at all."""
    if path in changes:
        return changes[path]
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{rewritten(v, changes, (*path, k))}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(rewritten(v, changes, (*path, i)) for i, v in enumerate(value)) + "]"
    return json.dumps(value)


@pytest.mark.parametrize("topic", EVENTS, ids=lambda topic: topic.name)
def test_fields_of_events(topic: Topic, tally: Tally) -> None:
    document = seeds.json_of(topic)

    @examples()
    @given(changes=st.dictionaries(st.sampled_from(places(document)), SCALARS, min_size=1, max_size=3))
    def read(changes: dict[tuple[object, ...], str]) -> None:
        value = rewritten(document, changes).encode(errors="replace")
        tally.check("JSON event", EVENT_CHECKS[EVENTS.index(topic)], value)
        if topic is LABELS:
            tally.check("label", TARGETS["label"].check, value)

    read()


HEADER_VALUES = (
    st.none()
    | st.binary(max_size=20)
    | st.sampled_from([b"", b"NaN", b"inf", b"1e999", b"1_0", b"-0.0", b"9" * 500, b"\xff", b"x" * 5000, b"\xd9\xa1"])
    | st.floats().map(lambda x: repr(x).encode())
    | st.datetimes(timezones=st.timezones()).map(lambda t: t.isoformat().encode())
    | st.sampled_from([b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:59-23:59", b"2026-01-01T00:00:00+00:00:30.5"])
    | st.text(max_size=30).map(lambda text: text.encode())
    | st.sampled_from([b"image/png", b"IMAGE/TIFF ; q=1", b"uint8", b"float32", b"8,9", b"0,9", b"999999999,999999999"])
)


@examples(8)
@given(
    record=st.sampled_from(seeds.frames()),
    changes=st.lists(st.tuples(st.integers(0, 40), HEADER_VALUES, st.sampled_from(["set", "add", "drop"])), max_size=4),
    key=st.none() | st.binary(max_size=12) | st.just(b"W1"),
)
def test_headers_of_frames(
    record: bytes, changes: list[tuple[int, bytes | None, str]], key: bytes | None, tally: Tally
) -> None:
    frame = unpack_record(record)
    headers = list(frame.headers)
    for at, value, kind in changes:
        place = at % max(1, len(headers))
        name = headers[place][0] if headers else "ce_id"
        if kind == "drop":
            del headers[place : place + 1]
        elif kind == "set":
            headers[place : place + 1] = [(name, value)]
        else:
            headers.append((name, value))
    packed = pack_record(replace(frame, headers=tuple(headers), key=key))
    tally.check("frame record", TARGETS["frame record"].check, packed)


@examples(8)
@given(data=st.data())
def test_chunks_of_png(data: st.DataObject, tally: Tally) -> None:
    rows, columns = data.draw(NUMBERS), data.draw(NUMBERS)
    depth, colour, interlace = (
        data.draw(st.sampled_from(v)) for v in ([8, 8, 16, 1, 4], [0, 0, 0, 2, 3], [0, 0, 1, 2])
    )
    lines = data.draw(st.integers(0, 20))
    body = zlib.compress(data.draw(st.binary(max_size=4)) + bytes((1 + 9 * depth // 8) * lines))
    cut = data.draw(st.integers(0, len(body)))
    header = rows.to_bytes(4, "big") if data.draw(st.booleans()) else b"\0\0\0\x09"
    header += columns.to_bytes(4, "big") if data.draw(st.booleans()) else b"\0\0\0\x08"
    chunks = [
        (b"IHDR", header + bytes([depth, colour, 0, 0, interlace])),
        (b"IDAT", body[:cut]),
        (b"IDAT", body[cut:]),
        (b"IEND", b""),
    ]
    kinds = [
        b"zTXt",
        b"iTXt",
        b"tEXt",
        b"iCCP",
        b"eXIf",
        b"acTL",
        b"fcTL",
        b"fdAT",
        b"tRNS",
        b"pHYs",
        b"gAMA",
        b"PLTE",
        b"IHDR",
    ]
    for _ in range(data.draw(st.integers(0, 3))):
        extra = data.draw(st.sampled_from(kinds)), data.draw(st.binary(max_size=30))
        chunks.insert(data.draw(st.integers(1, len(chunks))), extra)
    packed = b"\x89PNG\r\n\x1a\n" + b"".join(seeds.png_chunk(*chunk) for chunk in chunks)
    tally.check("PNG image", TARGETS["PNG image"].check, packed)


TAGS = [256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 317, 322, 323, 324, 325, 339, 33432, 34675, 700, 34665]
GOOD = {256: 9, 257: 8, 258: 8, 259: 1, 262: 1, 277: 1, 278: 8, 279: 72}


@examples(8)
@given(data=st.data())
def test_tags_of_tiff(data: st.DataObject, tally: Tally) -> None:
    values = dict(GOOD) | data.draw(st.dictionaries(st.sampled_from(TAGS), NUMBERS, max_size=3))
    for tag in data.draw(st.lists(st.sampled_from(TAGS), max_size=1)):
        values.pop(tag, None)
    endian = data.draw(st.sampled_from("<>"))
    entries = [(tag, 4, 1, value) for tag, value in values.items()]
    if data.draw(st.integers(0, 3)) == 0:
        at = data.draw(st.integers(0, len(entries) - 1))
        entries[at] = entries[at][0], data.draw(st.integers(0, 20)), data.draw(NUMBERS), data.draw(NUMBERS)
    start = 8 + 2 + 12 * (len(entries) + 1) + 4
    offsets = [] if 273 in values or 324 in values else [(273, 4, 1, start)]
    following = data.draw(st.sampled_from([0, 0, 0, 8, 10, start, 2**32 - 1]))
    body = data.draw(
        st.sampled_from([bytes(72), bytes(range(256)) * 2, zlib.compress(bytes(72)), b"\x80\x0b" + bytes(40)])
    )
    packed = seeds.tiff(sorted([*entries, *offsets]), body, following=following, endian=endian)
    tally.check("TIFF image", TARGETS["TIFF image"].check, packed)
    tally.check("TIFF stack file", TARGETS["TIFF stack file"].check, packed)


SHAPES = st.lists(st.integers(-1, 20) | st.sampled_from([0, 2**31, 2**63, 2**64]), max_size=3)
ARRAYS = st.tuples(
    st.sampled_from(["pixels", "mask", "+logits", "", "other"]),
    st.sampled_from(["uint8", "uint16", "float32", "object", "|V8"]),
    SHAPES | st.just([8, 9]),
)


@examples(8)
@given(
    arrays=st.lists(ARRAYS, max_size=4) | st.just([("pixels", "uint8", [8, 9]), ("mask", "uint8", [8, 9])]),
    changes=st.dictionaries(st.sampled_from(["label_id", "domain", "source", "more"]), SCALARS, max_size=2),
    body=st.integers(0, 400).map(bytes) | st.just(bytes(144)),
)
def test_headers_of_samples(
    arrays: list[tuple[str, str, list[int]]], changes: dict[str, str], body: bytes, tally: Tally
) -> None:
    header = {"label_id": "l", "domain": "d", "weld_id": "w", "source": None, "arrays": [list(a) for a in arrays]}
    document = header | dict.fromkeys(changes)
    packed = rewritten(document, {(name,): value for name, value in changes.items()}).encode(errors="replace")
    stored = b"WSS1" + len(packed).to_bytes(4, "little") + zlib.crc32(packed + body).to_bytes(4, "little")
    tally.check("stored sample", TARGETS["stored sample"].check, stored + packed + body)
