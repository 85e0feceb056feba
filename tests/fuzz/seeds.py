"""Valid inputs of every kind, from which fuzzing starts."""

import io
import json
import struct
import zlib
from functools import cache

import numpy as np
from PIL import Image

from memory.samples import Sample
from schemas import (
    Artifact,
    ClassTable,
    DefectAlert,
    DriftAlarm,
    Frame,
    Judgement,
    LabelledFrame,
    ModelReleased,
    ReviewRequest,
)
from schemas.inspectors import InspectorStanding, Standing
from schemas.judgements import RecordPosition
from schemas.recalls import WeldRecall
from schemas.settings import KafkaSettings
from schemas.topics import (
    ALERTS,
    DRIFT_ALARMS,
    INSPECTORS,
    JUDGEMENTS,
    LABELS,
    MODEL_RELEASES,
    RECALLS,
    REVIEW_REQUESTS,
    WELD_PASSES,
    WELD_STATES,
    Topic,
)
from schemas.welds import PassEnd, WeldState
from stream.codec import encode_event, encode_frame, encode_raster
from stream.codec.images import encode_image
from stream.codec.png import _expected
from stream.dead_letters import dead_letter
from stream.records import OutRecord
from tests.fuzz.records import pack_record
from tests.unit.stream.samples import TIME, arrived, make_frame, speckle

SHAPE = (8, 9)
SHA = "ab" * 32
CLASSES = ClassTable()
MODEL = {"name": "weld", "version": 3, "digest": SHA}
MASK = (speckle("uint8", SHAPE) % 6).astype(np.uint8)


def judgement(frame: Frame) -> Judgement:
    return Judgement.model_validate(
        {
            "frame_id": frame.frame_id,
            "weld_id": frame.weld_id,
            "position_mm": frame.position_mm,
            "frame_time": frame.time,
            "domain": frame.domain,
            "source": {"topic": "weldstream.frames", "partition": 1, "offset": 7},
            "pixels_sha256": SHA,
            "model": MODEL,
            "preprocessing": "v1",
            "thresholds": {"min_confidence": 0.5},
            "chain": {"pass_id": frame.frame_id, "sequence": 1, "previous": SHA},
            "judged_at": TIME,
            "mask": encode_raster(MASK),
            "classes": CLASSES.codes,
            "indications": [
                {
                    "code": 100,
                    "name": "crack",
                    "area_mm2": 2.5,
                    "box": {"top_mm": 0, "left_mm": 1, "bottom_mm": 2, "right_mm": 3.5},
                    "confidence": 0.75,
                }
            ],
            "uncertainty": 0.25,
            "flagged": True,
            "latency_seconds": 0.1,
            "compute_seconds": 0.01,
        }
    )


def label(frame: Frame | None = None, **changes: object) -> LabelledFrame:
    frame = frame or make_frame()
    fields: dict[str, object] = {
        "label_id": "L1",
        "labelled_at": TIME,
        "inspector_id": "ada",
        "frame": frame,
        "pixels": encode_raster(speckle("uint16", SHAPE)),
        "mask": encode_raster(MASK),
        "classes": CLASSES.codes,
        "request_id": "R1",
        "reasons": ("audit",),
        "judgement": judgement(frame),
    }
    return LabelledFrame.model_validate(fields | changes)


@cache
def events() -> tuple[tuple[Topic, OutRecord], ...]:
    """One record of each topic that carries JSON."""
    frame = make_frame()
    artifact = Artifact(sha256=SHA, size_bytes=10)
    version = {
        "model": MODEL,
        "parent": 2,
        "graph": artifact,
        "weights": artifact,
        "architecture": "tiny",
        "classes": CLASSES,
        "preprocessing": "v1",
        "size_multiple": 16,
        "labels_learned": 12,
        "labels_until": {0: 12},
        "metrics": {"dice": 0.5},
        "gate": {
            "passed": True,
            "comparisons": [
                {
                    "evaluation_set": "golden",
                    "group": "all",
                    "samples": 4,
                    "serving": 0.5,
                    "candidate": 0.75,
                    "drop": -0.25,
                    "margin": 0.05,
                    "passed": True,
                }
            ],
            "seconds": 1.5,
        },
        "created_at": TIME,
    }
    request = {"request_id": "R1", "requested_at": TIME, "reasons": ("defect",), "frame": frame}
    state = {"weld_id": "W1", "pass_id": "F1", "model_version": 3, "judged": 2, "head": SHA}
    payloads = {
        JUDGEMENTS: judgement(frame),
        LABELS: label(),
        REVIEW_REQUESTS: ReviewRequest.model_validate(
            request | {"pixels": encode_raster(speckle("uint8", SHAPE)), "judgement": judgement(frame)}
        ),
        MODEL_RELEASES: ModelReleased.model_validate(
            {"version": version, "kind": "release", "sequence": 4, "announced_at": TIME, "reason": "better"}
        ),
        WELD_PASSES: PassEnd(weld_id="W1", pass_id="F1", model_version=3, judged=2, head=SHA, ended_at=TIME),
        INSPECTORS: InspectorStanding(
            inspector_id="ada", standing=Standing.QUARANTINED, reason="asleep", decided_by="learner", decided_at=TIME
        ),
        RECALLS: WeldRecall(
            recall_id="weld-7",
            weld_id="W1",
            judged_by=(3,),
            judged_again_by=2,
            defective_before=True,
            defective_after=False,
            frames=3,
            gone=1,
            flipped=("F1",),
            upto=RecordPosition(topic="weldstream.judgements", partition=1, offset=7),
            recalled_at=TIME,
        ),
        WELD_STATES: WeldState.model_validate(
            state | {"stretches": [{"code": 100, "first_frame": "F1", "start_mm": 1, "end_mm": 2.5}]}
        ),
        ALERTS: DefectAlert.model_validate(
            {
                "alert_id": "A1",
                "weld_id": "W1",
                "code": 100,
                "name": "crack",
                "position_mm": 1.5,
                "area_mm2": 2.5,
                "confidence": 0.5,
                "frame_id": "F1",
                "model": MODEL,
                "raised_at": TIME,
            }
        ),
        DRIFT_ALARMS: DriftAlarm(
            detector="adwin", statistic="entropy", domain="d", value=0.5, frame_id="F1", detected_at=TIME
        ),
    }
    return tuple(
        (topic, encode_event(topic.name, topic, payload, key="W1", event_id="E1", source="s", time=TIME))
        for topic, payload in payloads.items()
    )


def event(topic: Topic) -> OutRecord:
    return dict(events())[topic]


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    body: bytes, *, rows: int = 8, columns: int = 9, depth: int = 8, interlace: int = 0, extra: bytes = b""
) -> bytes:
    """A PNG of these deflated samples, with chunks between its header and them."""
    header = struct.pack(">IIBBBBB", columns, rows, depth, 0, 0, 0, interlace)
    end = png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + extra + end


def pngs() -> list[bytes]:
    plain = [encode_image(speckle(dtype, SHAPE), "image/png") for dtype in ("uint8", "uint16")]
    text = png_chunk(b"zTXt", b"k\0\0" + zlib.compress(b"text")) + png_chunk(b"acTL", bytes(8))
    lines = zlib.compress(b"".join(b"\2" + row.tobytes() for row in speckle("uint8", SHAPE)))
    interlaced = zlib.compress(bytes(_expected(*SHAPE, 1, interlaced=True)))
    return [*plain, png(lines, extra=text), png(interlaced, interlace=1)]


def tiffs() -> list[bytes]:
    found = [encode_image(speckle(dtype, SHAPE), "image/tiff") for dtype in ("uint8", "uint16", "float32")]
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        buffer = io.BytesIO()
        Image.fromarray(speckle("uint16", SHAPE)).save(buffer, "TIFF", compression=compression)
        found.append(buffer.getvalue())
    return [*found, tiff_stack(), tiff_stack(big=True), tiled_tiff()]


def tiff_stack(*, big: bool = False) -> bytes:
    first, *others = [Image.fromarray(speckle("uint8", SHAPE, seed)) for seed in range(3)]
    buffer = io.BytesIO()
    first.save(buffer, "TIFF", save_all=True, append_images=others, big_tiff=big)
    return buffer.getvalue()


def tiff(
    entries: list[tuple[int, int, int, int]],
    data: bytes = b"",
    *,
    following: int = 0,
    endian: str = "<",
    count: int = -1,
) -> bytes:
    """A TIFF of one directory of entries (tag, type, count, value); ``data`` follows it."""
    count = len(entries) if count < 0 else count
    body = b"".join(struct.pack(endian + "HHII", *entry) for entry in entries)
    mark = b"II*\0" if endian == "<" else b"MM\0*"
    return mark + struct.pack(endian + "IH", 8, count) + body + struct.pack(endian + "I", following) + data


def tiled_tiff() -> bytes:
    tags = {256: 16, 257: 16, 258: 8, 259: 1, 262: 1, 277: 1, 322: 16, 323: 16, 325: 256}
    entries = [(tag, 4, 1, value) for tag, value in tags.items()]
    start = 8 + 2 + 12 * (len(entries) + 1) + 4
    return tiff(sorted([*entries, (324, 4, 1, start)]), bytes(range(256)))


def jpegs() -> list[bytes]:
    found = []
    for progressive in (False, True):
        buffer = io.BytesIO()
        Image.fromarray(speckle("uint8", (16, 16))).save(buffer, "JPEG", progressive=progressive, exif=b"Exif\0\0MM\0*")
        found.append(buffer.getvalue())
    return found


def frames() -> list[bytes]:
    return [
        pack_record(encode_frame(make_frame(), speckle(dtype, SHAPE), topic="t", source="s", media_type=media_type))
        for dtype, media_type in (
            ("uint8", "image/png"),
            ("uint16", "image/tiff"),
            ("float32", "application/octet-stream"),
        )
    ]


def labels() -> list[bytes]:
    raw = label(pixels=encode_raster(speckle("float32", SHAPE), "application/octet-stream"), judgement=None)
    values = [event(LABELS), encode_event("t", LABELS, raw, key="W1", event_id="L1", source="s", time=TIME)]
    return [record.value or b"" for record in values]


def samples() -> list[bytes]:
    pixels, mask = speckle("uint16", SHAPE), MASK
    position = RecordPosition(topic="labels", partition=0, offset=3)
    logits = {"logits": speckle("float32", (6, 8, 9)[1:])}
    return [
        Sample("l", "d", "w", pixels, mask, source=position).to_bytes(),
        Sample("l", "d", "w", speckle("float32", SHAPE), mask, extras=logits).to_bytes(),
    ]


def dead_letters() -> list[bytes]:
    record = arrived(encode_frame(make_frame(), speckle("uint8", SHAPE), topic="t", source="s"))
    return [pack_record(dead_letter(record, ValueError("broken"), 1, KafkaSettings(), clock=lambda: TIME))]


def json_of(topic: Topic) -> dict[str, object]:
    value = event(topic).value or b""
    decoded: dict[str, object] = json.loads(value)
    return decoded
