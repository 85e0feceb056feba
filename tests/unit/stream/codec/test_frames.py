import contextlib
import hashlib
import io
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from schemas import Frame, MediaType, PixelSpacing, Probe, View
from schemas.errors import (
    BadPayloadError,
    BadRecordError,
    MalformedHeaderError,
    MissingHeaderError,
    NonFiniteError,
    OversizeError,
    UnknownTypeError,
)
from stream.codec import FrameLimits, decode_frame, decode_raster, encode_frame, raster_from_frame
from stream.codec.frames import FIELDS
from tests.unit.stream.samples import Record, arrived, make_frame, speckle

LIMITS = FrameLimits()
PAIRS = [
    ("uint8", MediaType.PNG),
    ("uint16", MediaType.PNG),
    ("uint8", MediaType.TIFF),
    ("uint16", MediaType.TIFF),
    ("float32", MediaType.TIFF),
    ("uint8", MediaType.RAW),
    ("uint16", MediaType.RAW),
    ("float32", MediaType.RAW),
]

names = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Z"), blacklist_characters="/\\"), min_size=1, max_size=40
)
texts = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=40)
numbers = st.floats(allow_nan=False, allow_infinity=False)
sizes = st.floats(min_value=1e-6, max_value=1000)
frames = st.builds(
    Frame,
    frame_id=names,
    weld_id=names,
    position_mm=numbers,
    time=st.datetimes(timezones=st.builds(lambda m: timezone(timedelta(minutes=m)), st.integers(-720, 720))),
    spacing=st.builds(PixelSpacing, row_mm=sizes, column_mm=sizes),
    view=st.sampled_from(View),
    probe=st.builds(
        Probe,
        model=texts,
        frequency_mhz=st.floats(min_value=0.01, max_value=100),
        elements=st.integers(1, 4096),
    ),
    procedure=texts,
    material=texts,
    gain_db=numbers,
)


def published(media_type: str = MediaType.PNG, dtype: str = "uint8") -> Record:
    return arrived(encode_frame(make_frame(), speckle(dtype), topic="t", source="s", media_type=media_type))


def changed(record: Record, *drop: str, **headers: bytes | None) -> Record:
    kept = tuple((k, v) for k, v in record.headers if k not in drop and k not in headers)
    return Record(key=record.key, value=record.value, headers=(*kept, *headers.items()))


def with_value(value: bytes | None, media_type: str = MediaType.PNG) -> Record:
    record = published(media_type)
    return Record(key=record.key, value=value, headers=record.headers)


def image_bytes(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@settings(max_examples=60, deadline=None)
@given(
    frame=frames,
    pair=st.sampled_from(PAIRS),
    data=st.data(),
)
def test_every_frame_survives_the_way(frame: Frame, pair: tuple[str, str], data: st.DataObject) -> None:
    dtype, media_type = pair
    elements = st.floats(width=32, allow_nan=False, allow_infinity=False) if dtype == "float32" else None
    pixels = data.draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=elements))
    record = encode_frame(frame, pixels, topic="t", source="scanner/1", media_type=media_type)
    decoded = decode_frame(arrived(record), LIMITS)
    assert decoded.frame == frame
    assert decoded.frame.time.utcoffset() == frame.time.utcoffset()
    assert decoded.pixels.dtype == dtype
    np.testing.assert_array_equal(decoded.pixels, pixels)
    assert decoded.sha256 == hashlib.sha256(record.value or b"").hexdigest()
    assert decoded.media_type == media_type


header_names = st.sampled_from([*FIELDS.values(), "ce_type", "ce_shape", "ce_dtype", "ce_subject", "content-type", "x"])
header_values = st.none() | st.binary(max_size=40) | st.text(max_size=20).map(lambda t: t.encode(errors="replace"))


@settings(max_examples=300, deadline=None)
@given(
    base=st.none() | st.sampled_from(PAIRS),
    headers=st.lists(st.tuples(header_names | st.text(max_size=10), header_values), max_size=5),
    key=st.none() | st.binary(max_size=10),
    value=st.none() | st.binary(max_size=200),
    keep=st.integers(0, 400),
    flip=st.integers(0, 400),
)
def test_nothing_but_a_bad_record_error_comes_out_of_junk(  # noqa: PLR0917
    base: tuple[str, str] | None,
    headers: list[tuple[str, bytes | None]],
    key: bytes | None,
    value: bytes | None,
    keep: int,
    flip: int,
) -> None:
    """Random bytes and headers, alone or put into a valid record that is cut and damaged."""
    record = Record(key=key, value=value, headers=tuple(headers))
    if base is not None:
        good = published(base[1], base[0])
        body = bytearray((good.value or b"")[:keep])
        if body:
            body[flip % len(body)] ^= 0x55
        replaced = dict(headers)
        kept = tuple((k, v) for k, v in good.headers if k not in replaced)
        record = Record(key=good.key, value=bytes(body), headers=(*kept, *replaced.items()))
    with contextlib.suppress(BadRecordError):
        assert decode_frame(record, LIMITS).pixels.size


@pytest.mark.parametrize("header", [*FIELDS.values(), "ce_specversion", "ce_source", "ce_type", "content-type"])
def test_a_missing_or_empty_header_is_named(header: str) -> None:
    with pytest.raises(MissingHeaderError, match=header):
        decode_frame(changed(published(), header), LIMITS)
    with pytest.raises(MissingHeaderError, match=header):
        decode_frame(changed(published(), **{header: b""}), LIMITS)


@pytest.mark.parametrize("value", [None, b"\xff\xfe"], ids=["null", "binary"])
@pytest.mark.parametrize("header", [*FIELDS.values(), "ce_source", "content-type", "ce_domain"])
def test_null_and_binary_header_values_are_named(header: str, value: bytes | None) -> None:
    with pytest.raises(MalformedHeaderError, match=header):
        decode_frame(changed(published(), **{header: value}), LIMITS)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("ce_positionmm", b"twelve"),
        ("ce_positionmm", b"nan"),
        ("ce_gaindb", b"inf"),
        ("ce_rowmm", b"0"),
        ("ce_columnmm", b"-1"),
        ("ce_view", b"C-scan"),
        ("ce_probeelements", b"1.5"),
        ("ce_probemhz", b"0"),
        ("ce_time", b"yesterday"),
        ("ce_time", b"2026-01-01T00:00:00"),
        ("ce_id", b"a b"),
        ("ce_domain", b"a/b"),
        ("ce_shape", b"17x23"),
        ("ce_shape", b"-17,23"),
        ("ce_dtype", b"int64"),
    ],
)
def test_malformed_headers_are_named(header: str, value: bytes) -> None:
    with pytest.raises(MalformedHeaderError, match=header):
        decode_frame(changed(published(), **{header: value}), LIMITS)


@pytest.mark.parametrize(
    "headers", [{"ce_type": b"weldstream.frame.v2"}, {"ce_type": b"other"}, {"ce_specversion": b"0.3"}]
)
def test_an_unknown_type_or_version_is_refused(headers: dict[str, bytes]) -> None:
    with pytest.raises(UnknownTypeError):
        decode_frame(changed(published(), **headers), LIMITS)


def test_a_header_given_twice_is_refused() -> None:
    record = published()
    doubled = Record(key=record.key, value=record.value, headers=(*record.headers, ("ce_id", b"other")))
    with pytest.raises(MalformedHeaderError, match="twice"):
        decode_frame(doubled, LIMITS)


def test_the_weld_is_the_key_or_the_subject() -> None:
    record = published()
    without_key = Record(value=record.value, headers=record.headers)
    assert decode_frame(without_key, LIMITS).frame.weld_id == "W1"
    assert decode_frame(changed(record, "ce_subject"), LIMITS).frame.weld_id == "W1"
    with pytest.raises(MissingHeaderError, match="weld id"):
        decode_frame(changed(without_key, "ce_subject"), LIMITS)
    with pytest.raises(MalformedHeaderError, match="W2"):
        decode_frame(changed(record, ce_subject=b"W2"), LIMITS)
    with pytest.raises(BadPayloadError, match="key"):
        decode_frame(Record(key=b"\xff", value=record.value, headers=record.headers), LIMITS)


def test_other_headers_are_left_alone() -> None:
    assert decode_frame(changed(published(), traceparent=b"\xff\x00", x=None), LIMITS).frame == make_frame()


def test_the_domain_is_derived_unless_given() -> None:
    assert decode_frame(changed(published(), "ce_domain"), LIMITS).frame.domain == make_frame().domain
    assert decode_frame(changed(published(), ce_domain=b"mine"), LIMITS).frame.domain == "mine"


def test_content_types_may_have_parameters_and_capitals() -> None:
    assert decode_frame(changed(published(), **{"content-type": b"Image/PNG; q=1"}), LIMITS).media_type == "image/png"
    with pytest.raises(BadPayloadError, match="image/webp"):
        decode_frame(changed(published(), **{"content-type": b"image/webp"}), LIMITS)


@pytest.mark.parametrize("media_type", [MediaType.PNG, MediaType.TIFF, MediaType.RAW])
def test_empty_missing_and_truncated_payloads(media_type: str) -> None:
    record = published(media_type)
    assert record.value is not None
    for value, words in (
        (None, "tombstone"),
        (b"", "empty"),
        (record.value[: len(record.value) // 2], "decoded|take|truncated"),
    ):
        with pytest.raises(BadPayloadError, match=words):
            decode_frame(Record(key=record.key, value=value, headers=record.headers), LIMITS)


def test_raw_samples_must_be_as_announced() -> None:
    record = published(MediaType.RAW, "uint16")
    for headers in ({"ce_dtype": b"uint8"}, {"ce_shape": b"16,23"}, {"ce_shape": b"0,23"}):
        with pytest.raises(BadPayloadError):
            decode_frame(changed(record, **headers), LIMITS)
    for header in ("ce_dtype", "ce_shape"):
        with pytest.raises(MissingHeaderError, match=header):
            decode_frame(changed(record, header), LIMITS)
    with pytest.raises(OversizeError):
        decode_frame(changed(record, ce_shape=b"999999999,999999999"), LIMITS)


def test_an_image_must_be_as_announced_where_it_is() -> None:
    assert decode_frame(changed(published(), ce_dtype=b"uint8", ce_shape=b"17,23"), LIMITS).pixels.shape == (17, 23)
    with pytest.raises(BadPayloadError, match="uint16 was announced"):
        decode_frame(changed(published(), ce_dtype=b"uint16"), LIMITS)
    with pytest.raises(BadPayloadError, match="23 x 17 was announced"):
        decode_frame(changed(published(), ce_shape=b"23,17"), LIMITS)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused(bad: float) -> None:
    pixels = speckle("float32")
    pixels[3, 4] = bad
    record = encode_frame(make_frame(), pixels, topic="t", source="s", media_type=MediaType.RAW)
    with pytest.raises(NonFiniteError):
        decode_frame(arrived(record), LIMITS)


def test_oversize_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(OversizeError, match="bytes"):
        decode_frame(published(), FrameLimits(max_bytes=10))
    for media_type in (MediaType.PNG, MediaType.TIFF, MediaType.RAW):
        with pytest.raises(OversizeError, match="17 x 23"):
            decode_frame(published(media_type), FrameLimits(max_pixels=390))


def test_a_decompression_bomb_is_refused_by_its_header() -> None:
    """A PNG that says 60000 x 60000, without the pixels: decoding it would fail otherwise."""
    bomb = bytearray(image_bytes(Image.new("L", (8, 8)), "PNG"))
    bomb[16:24] = (60000).to_bytes(4, "big") * 2
    with pytest.raises(OversizeError, match="60000 x 60000"):
        decode_frame(with_value(bytes(bomb)), LIMITS)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "1"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_colour_and_palettes_are_refused(mode: str, kind: str) -> None:
    value = image_bytes(Image.new(mode, (8, 8)), kind)
    with pytest.raises(BadPayloadError, match="colour"):
        decode_frame(with_value(value, f"image/{kind.lower()}"), LIMITS)


def test_a_stack_is_no_frame() -> None:
    page = Image.new("L", (8, 8))
    value = image_bytes(page, "TIFF", save_all=True, append_images=[page])
    with pytest.raises(BadPayloadError, match="several images"):
        decode_frame(with_value(value, MediaType.TIFF), LIMITS)


def test_big_endian_tiff_is_read() -> None:
    pixels = speckle("uint16")
    # A hand-made file: Pillow writes only little-endian ones from arrays.
    entries = [(256, 4, 23), (257, 4, 17), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1)]
    entries += [(278, 4, 17), (279, 4, pixels.size * 2)]
    directory = len(entries).to_bytes(2, "big")
    for tag, kind, number in entries:
        packed = number.to_bytes(2, "big") + b"\0\0" if kind == 3 else number.to_bytes(4, "big")
        directory += tag.to_bytes(2, "big") + kind.to_bytes(2, "big") + (1).to_bytes(4, "big") + packed
    body = pixels.astype(">u2").tobytes()
    value = b"MM\0*" + (8 + len(body)).to_bytes(4, "big") + body + directory + bytes(4)
    decoded = decode_frame(with_value(value, MediaType.TIFF), LIMITS)
    assert decoded.pixels.dtype == np.dtype("=u2")
    np.testing.assert_array_equal(decoded.pixels, pixels)


def test_a_raster_keeps_the_payload_unchanged() -> None:
    record = published(dtype="uint16")
    decoded = decode_frame(record, LIMITS)
    raster = raster_from_frame(record, decoded)
    assert raster.data == record.value
    np.testing.assert_array_equal(decode_raster(raster, LIMITS), decoded.pixels)


def test_png_refuses_floats_at_the_sender() -> None:
    with pytest.raises(ValueError, match="float32"):
        encode_frame(make_frame(), speckle("float32"), topic="t", source="s", media_type=MediaType.PNG)


def test_decoded_pixels_can_be_written() -> None:
    for dtype, media_type in PAIRS:
        decode_frame(published(media_type, dtype), LIMITS).pixels[0, 0] = 1


def test_the_time_keeps_its_zone() -> None:
    decoded = decode_frame(changed(published(), ce_time=b"2026-03-04T05:06:07+02:00"), LIMITS)
    assert decoded.frame.time == datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize("number", [b"1_0", b"\xd9\xa1", b"infinity", b"0x10", b" 1", b"1e99999"])
def test_numbers_are_those_of_json(number: bytes) -> None:
    with pytest.raises(MalformedHeaderError, match="ce_gaindb"):
        decode_frame(changed(published(), ce_gaindb=number), LIMITS)


def test_a_time_zone_of_broken_minutes_is_refused() -> None:
    # JSON writes whole minutes: the frame would have another time in its label.
    with pytest.raises(MalformedHeaderError, match="whole number of minutes"):
        decode_frame(changed(published(), ce_time=b"2026-01-01T00:00:00+00:00:30"), LIMITS)
