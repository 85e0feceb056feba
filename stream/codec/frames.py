"""Frames: metadata as headers, the image itself as the value, so that any language can publish one."""

import hashlib
import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import ValidationError

from schemas.errors import BadPayloadError, MalformedHeaderError, MissingHeaderError
from schemas.frames import Frame
from schemas.rasters import MediaType, Raster
from schemas.topics import FRAMES
from stream.codec.cloudevents import explain, media_type, quote, read_headers, require, require_value, write_headers
from stream.codec.images import DTYPES, FrameLimits, Pixels, decode_image, encode_image
from stream.codec.rasters import wrap
from stream.records import InRecord, OutRecord

SUBJECT = "ce_subject"
DTYPE, SHAPE, DOMAIN = "ce_dtype", "ce_shape", "ce_domain"

FIELDS = {
    "frame_id": "ce_id",
    "time": "ce_time",
    "position_mm": "ce_positionmm",
    "spacing.row_mm": "ce_rowmm",
    "spacing.column_mm": "ce_columnmm",
    "view": "ce_view",
    "probe.model": "ce_probemodel",
    "probe.frequency_mhz": "ce_probemhz",
    "probe.elements": "ce_probeelements",
    "procedure": "ce_procedure",
    "material": "ce_material",
    "gain_db": "ce_gaindb",
}
"""Mandatory headers by the field of :class:`~schemas.Frame` they fill (CloudEvents allows only a-z and 0-9)."""

_NAMES = FIELDS | {"weld_id": "the weld id (key or ce_subject)", "domain": DOMAIN}
_NUMBER_PATTERN = re.compile(r"[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,4})?")
_SHAPE_PATTERN = re.compile(r"([0-9]{1,9}),([0-9]{1,9})")


@dataclass(frozen=True, slots=True, eq=False)
class DecodedFrame:
    """A frame as it arrived.

    Attributes
    ----------
    frame : Frame
        Its metadata.
    pixels : ndarray
        (H, W), uint8, uint16 or float32.
    sha256 : str
        Of the payload.
    media_type : str
        Of the payload.
    """

    frame: Frame
    pixels: Pixels
    sha256: str
    media_type: str


def encode_frame(
    frame: Frame, pixels: Pixels, *, topic: str, source: str, media_type: str = MediaType.PNG
) -> OutRecord:
    """Turn a frame into a record.

    Parameters
    ----------
    frame : Frame
        Its metadata.
    pixels : ndarray
        (H, W), uint8, uint16 or float32.
    topic : str
        Full name.
    source : str
        URI reference of the instrument or program, CloudEvents' ``source``.
    media_type : str
        Encoding of the value.

    Raises
    ------
    ValueError
        If the media type cannot hold these pixels.
    """
    extensions = {
        "subject": frame.weld_id,
        "positionmm": repr(frame.position_mm),
        "rowmm": repr(frame.spacing.row_mm),
        "columnmm": repr(frame.spacing.column_mm),
        "view": frame.view.value,
        "probemodel": frame.probe.model,
        "probemhz": repr(frame.probe.frequency_mhz),
        "probeelements": str(frame.probe.elements),
        "procedure": frame.procedure,
        "material": frame.material,
        "gaindb": repr(frame.gain_db),
        "domain": frame.domain,
    }
    if media_type == MediaType.RAW:
        extensions |= {"dtype": pixels.dtype.name, "shape": f"{pixels.shape[0]},{pixels.shape[1]}"}
    headers = write_headers(
        event_type=FRAMES.event_type,
        event_id=frame.frame_id,
        source=source,
        time=frame.time,
        content_type=media_type,
        **extensions,
    )
    return OutRecord(topic, frame.weld_id.encode(), encode_image(pixels, media_type), headers)


def decode_frame(record: InRecord, limits: FrameLimits) -> DecodedFrame:
    """Read a frame.

    The weld id is the header ``ce_subject``, or the key where the header is absent.

    Raises
    ------
    BadRecordError
        Whatever is wrong with it.
    """
    attributes = read_headers(record, FRAMES.event_type)
    frame = _frame(attributes, _weld_id(record, attributes))
    kind = media_type(attributes)
    payload = require_value(record)
    dtype, shape = _layout(attributes)
    if kind == MediaType.RAW:
        require(attributes, DTYPE)
        require(attributes, SHAPE)
    pixels = decode_image(payload, kind, limits, dtype=dtype, shape=shape)
    return DecodedFrame(frame, pixels, hashlib.sha256(payload).hexdigest(), kind)


def raster_from_frame(record: InRecord, decoded: DecodedFrame) -> Raster:
    """Wrap the payload of a decoded record unchanged, so that its digest stays the same."""
    return wrap(require_value(record), decoded.media_type, decoded.pixels)


def _weld_id(record: InRecord, attributes: dict[str, str]) -> str:
    try:
        key = None if record.key is None else bytes(record.key).decode()
    except UnicodeDecodeError:
        raise BadPayloadError("the key, which is the weld id, is not UTF-8 text") from None
    subject = attributes.get(SUBJECT)
    if key and subject and key != subject:
        raise MalformedHeaderError(f"the key says weld {quote(key)}, but header {SUBJECT} says {quote(subject)}")
    weld = key or subject
    if not weld:
        raise MissingHeaderError(f"the weld id is missing: neither the key nor header {SUBJECT} is set")
    return weld


def _frame(attributes: dict[str, str], weld_id: str) -> Frame:
    raw = {field: require(attributes, header) for field, header in FIELDS.items()}
    number = {
        field: _number(FIELDS[field], raw[field])
        for field in ("position_mm", "spacing.row_mm", "spacing.column_mm", "probe.frequency_mhz", "gain_db")
    }
    try:
        return Frame.model_validate(
            {
                "frame_id": raw["frame_id"],
                "weld_id": weld_id,
                "position_mm": number["position_mm"],
                "time": _time(raw["time"]),
                "spacing": {"row_mm": number["spacing.row_mm"], "column_mm": number["spacing.column_mm"]},
                "view": raw["view"],
                "probe": {
                    "model": raw["probe.model"],
                    "frequency_mhz": number["probe.frequency_mhz"],
                    "elements": raw["probe.elements"],
                },
                "procedure": raw["procedure"],
                "material": raw["material"],
                "gain_db": number["gain_db"],
                "domain": attributes.get(DOMAIN, ""),
            }
        )
    except ValidationError as error:
        raise MalformedHeaderError(f"header {explain(error, _NAMES)}") from None


def _number(header: str, text: str) -> float:
    # Python's own reader also takes 1_000, digits of any script and the names of what is no number.
    value = float(text) if _NUMBER_PATTERN.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise MalformedHeaderError(f"header {header} says {quote(text)}, which is no number")
    return value


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise MalformedHeaderError(f"header ce_time says {quote(text)}, which is no RFC 3339 time") from None
    offset = time.utcoffset()
    if offset is None:
        raise MalformedHeaderError(f"header ce_time says {quote(text)}, which has no time zone")
    if offset % timedelta(minutes=1):
        # RFC 3339 knows minutes only, and JSON drops the rest: the frame's time would change on its way.
        raise MalformedHeaderError(f"header ce_time says {quote(text)}, whose time zone is no whole number of minutes")
    return time


def _layout(attributes: dict[str, str]) -> tuple[str | None, tuple[int, int] | None]:
    dtype, text = attributes.get(DTYPE), attributes.get(SHAPE)
    if dtype is not None and dtype not in DTYPES:
        raise MalformedHeaderError(f"header {DTYPE} says {quote(dtype)}; use {', '.join(DTYPES)}")
    if text is None:
        return dtype, None
    match = _SHAPE_PATTERN.fullmatch(text)
    if match is None:
        raise MalformedHeaderError(f"header {SHAPE} says {quote(text)}; write it as rows,columns")
    return dtype, (int(match[1]), int(match[2]))
