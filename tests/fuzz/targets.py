"""What reads bytes from outside, and what must hold for any bytes: a valid value or an error of ours, nothing else.

A check returns whether its input was valid, and raises where the promise was broken.
"""

import hashlib
import tempfile
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from memory.artifacts import ArtifactStore
from memory.samples import Sample
from schemas import Artifact, LabelledFrame, MediaType
from schemas.errors import ArtifactNotFoundError, BadRecordError, DigestMismatchError
from schemas.rasters import Raster
from schemas.topics import FRAMES, LABELS, TOPICS, Topic
from stream.codec import (
    FrameLimits,
    decode_event,
    decode_frame,
    decode_label,
    encode_event,
    encode_frame,
    encode_raster,
)
from stream.codec.images import decode_image, encode_image
from stream.dead_letters import read_dead_letter, requeued
from stream.sources import ImageFolder, RawArray, TiffStack
from stream.sources.base import FILE_LIMITS, Source
from tests.contracts.source import ACQUISITION
from tests.fuzz import seeds
from tests.fuzz.records import unpack_record
from tests.unit.stream.samples import TIME, arrived

LIMITS = FrameLimits(max_bytes=1 << 16, max_pixels=1 << 16)
"""Small, so that what is not limited shows."""
EVENTS: tuple[Topic, ...] = tuple(topic for topic in TOPICS if topic.payload is not None and topic is not FRAMES)
LABEL = seeds.label()
T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    """Something that reads bytes from outside."""

    name: str
    check: Callable[[bytes], bool]
    seeds: Callable[[], Sequence[bytes]]


class BrokenPromiseError(AssertionError):
    """A promise was broken."""


def attempt(read: Callable[[], T], *errors: type[Exception]) -> T | None:
    """Return what was read, None where it was refused as it should be; a warning counts as an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return read()
        except (BadRecordError, *errors) as error:
            if len(str(error)) > 2000:
                msg = f"an error of {len(str(error))} characters"
                raise BrokenPromiseError(msg) from error
            return None


def hold(condition: object, promise: str) -> None:
    if not condition:
        raise BrokenPromiseError(promise)


def same_pixels(found: NDArray[np.generic], expected: NDArray[np.generic]) -> None:
    hold(found.dtype == expected.dtype and np.array_equal(found, expected), "pixels survive another round")


def check_pixels(pixels: NDArray[np.generic], limits: FrameLimits) -> None:
    hold(pixels.ndim == 2 and 0 < pixels.size <= limits.max_pixels, "an image of limited size")
    hold(pixels.dtype.name in {"uint8", "uint16", "float32"} and pixels.dtype.isnative, "a dtype that is read")
    hold(pixels.flags.writeable, "pixels can be written")
    hold(np.isfinite(pixels).all(), "pixels are numbers")


def image(media_type: str) -> Callable[[bytes], bool]:
    def check(data: bytes) -> bool:
        pixels = attempt(lambda: decode_image(data, media_type, LIMITS))
        if pixels is None:
            return False
        check_pixels(pixels, LIMITS)
        again = decode_image(encode_image(pixels, media_type), media_type, FILE_LIMITS)
        same_pixels(again, pixels)
        return True

    return check


def png_image(data: bytes) -> bool:
    """As it is, and with the checksums that an attacker would not forget."""
    return any([image(MediaType.PNG)(data), image(MediaType.PNG)(with_checksums(data))])


def with_checksums(data: bytes) -> bytes:
    """Return PNG with the checksum of each chunk corrected, as far as there are chunks."""
    mended, position = bytearray(data), 8
    while position + 12 <= len(mended):
        end = position + 8 + int.from_bytes(mended[position : position + 4], "big")
        if end + 4 > len(mended):
            break
        mended[end : end + 4] = zlib.crc32(mended[position + 4 : end]).to_bytes(4, "big")
        position = end + 4
    return bytes(mended)


def frame(data: bytes) -> bool:
    record = unpack_record(data)
    decoded = attempt(lambda: decode_frame(record, LIMITS))
    if decoded is None:
        return False
    check_pixels(decoded.pixels, LIMITS)
    written = encode_frame(decoded.frame, decoded.pixels, topic="t", source="s", media_type=decoded.media_type)
    again = decode_frame(arrived(written), FILE_LIMITS)
    hold(again.frame == decoded.frame, "metadata survive another round")
    same_pixels(again.pixels, decoded.pixels)
    # What is known of a frame also travels in JSON, in review requests and labels.
    answer = LABEL.model_copy(update={"frame": decoded.frame})
    carried = encode_event("t", LABELS, answer, key="k", event_id="e", source="s", time=TIME)
    hold(decode_event(arrived(carried), LABELS, LabelledFrame) == answer, "metadata survive in a label")
    return True


def event(topic: Topic) -> Callable[[bytes], bool]:
    model = topic.payload
    assert model is not None

    def check(value: bytes) -> bool:
        record = replace(arrived(seeds.event(topic)), value=value)
        found = attempt(lambda: decode_event(record, topic, model))
        if found is None:
            return False
        written = encode_event("t", topic, found, key="k", event_id="e", source="s", time=TIME)
        again = decode_event(arrived(written), topic, model, max_bytes=1 << 30)
        hold(again == found, "the event survives another round")
        hold(again.model_dump_json() == found.model_dump_json(), "its bytes are stable")
        return True

    return check


def any_event(data: bytes) -> bool:
    """The first byte says of which topic."""
    return EVENT_CHECKS[data[0] % len(EVENT_CHECKS)](data[1:]) if data else False


def label(value: bytes) -> bool:
    record = replace(arrived(seeds.event(LABELS)), value=value)
    decoded = attempt(lambda: decode_label(record, LIMITS, seeds.CLASSES, lambda uri, sha256: value))
    if decoded is None:
        return False
    check_pixels(decoded.pixels, LIMITS)
    hold(decoded.mask.dtype == np.uint8 and decoded.mask.shape == decoded.pixels.shape, "a mask for each pixel")
    hold(decoded.mask.max() < len(seeds.CLASSES), "only classes that are configured")
    again = decoded.label.model_copy(
        update={
            "pixels": encode_raster(decoded.pixels, MediaType.RAW),
            "mask": encode_raster(decoded.mask),
            "classes": seeds.CLASSES.codes,
        }
    )
    written = encode_event("t", LABELS, again, key="k", event_id="e", source="s", time=TIME)
    back = decode_label(arrived(written), FILE_LIMITS, seeds.CLASSES, max_bytes=1 << 30)
    same_pixels(back.mask, decoded.mask)
    same_pixels(back.pixels, decoded.pixels)
    return True


def label_images(data: bytes) -> bool:
    """The first byte says of which kinds pixels and mask are, the next two where the mask begins."""
    kinds = (MediaType.PNG, MediaType.TIFF, MediaType.RAW)
    first, cut, rest = (*data[:1], 0)[0], int.from_bytes(data[1:3], "little"), data[3:]
    pixels, mask = rest[:cut], rest[cut:]
    raw = {"dtype": "uint8", "shape": seeds.SHAPE}
    kind, mask_kind = kinds[first % 3], kinds[first // 3 % 3]
    answer = LABEL.model_copy(
        update={
            "pixels": Raster.model_construct(media_type=kind, **(raw if kind == MediaType.RAW else {}), data=pixels),
            "mask": Raster.model_construct(
                media_type=mask_kind, **(raw if mask_kind == MediaType.RAW else {}), data=mask
            ),
        }
    )
    return label(answer.model_dump_json().encode())


def sample(data: bytes) -> bool:
    valid = False
    # As it is, and with the checksum that an attacker would not forget.
    for stored in (data, data[:8] + zlib.crc32(data[12:]).to_bytes(4, "little") + data[12:]):
        found = attempt(lambda stored=stored: Sample.from_bytes(stored))
        if found is not None:
            valid = True
            back = Sample.from_bytes(found.to_bytes())
            hold(back.to_bytes() == found.to_bytes(), "a sample's bytes are stable")
            hold(found.pixels.nbytes + found.mask.nbytes <= len(stored), "no more than was stored")
    return valid


def dead_letter(data: bytes) -> bool:
    record = unpack_record(data)
    letter = attempt(lambda: read_dead_letter(record))
    if letter is None:
        return False
    attempt(lambda: requeued(letter))
    return True


def source(suffix: str, opened: Callable[[Path], Source]) -> Callable[[bytes], bool]:
    def check(data: bytes) -> bool:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            path = Path(folder) / f"file{suffix}"
            path.write_bytes(data)
            frames = attempt(lambda: list(opened(path)))
        if frames is None:
            return False
        for found in frames:
            check_pixels(found.pixels, FILE_LIMITS)
        return True

    return check


def raw_array(data: bytes) -> bool:
    """The first bytes say what the caller takes the file for."""
    kind, rows, columns, offset = (*data[:4], 0, 0, 0, 0)[:4]
    dtype = ("uint8", "uint16", "float32")[kind % 3]
    order = ("little", "big")[kind // 3 % 2]
    return source(
        ".raw",
        lambda path: RawArray(
            path, ACQUISITION, dtype=dtype, shape=(rows, columns), byte_order=order, offset_bytes=offset - 8
        ),
    )(data[4:])


def artifact(data: bytes) -> bool:
    """The first byte says what the store promises of the rest; what is handed out must be it."""
    first, stored = (*data[:1], 0)[0], data[1:]
    promised = stored if first % 2 else stored[:-1]
    wanted = Artifact(sha256=hashlib.sha256(promised).hexdigest(), size_bytes=len(promised) + first % 3)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        path = Path(folder) / "registry" / f"artifacts/sha256/{wanted.sha256[:2]}/{wanted.sha256}"
        path.parent.mkdir(parents=True)
        path.write_bytes(stored)
        store = ArtifactStore(str(Path(folder) / "registry"), cache_dir=Path(folder) / "cache")
        found = attempt(lambda: store.open_local(wanted), ArtifactNotFoundError, DigestMismatchError)
        if found is None:
            return False
        hold(hashlib.sha256(found.read_bytes()).hexdigest() == wanted.sha256, "the bytes that were promised")
        return True


EVENT_CHECKS = tuple(event(topic) for topic in EVENTS)


def _event_seeds() -> list[bytes]:
    return [bytes([EVENTS.index(topic)]) + (record.value or b"") for topic, record in seeds.events()]


def _label_image_seeds() -> list[bytes]:
    pixels, masks = [seeds.pngs()[1], seeds.tiffs()[0]], [encode_image(seeds.MASK, kind) for kind in PICTURES]
    return [
        bytes([first + 3 * second]) + len(pixel).to_bytes(2, "little") + pixel + mask
        for first, pixel in enumerate(pixels)
        for second, mask in enumerate(masks)
    ]


PICTURES = (MediaType.PNG, MediaType.TIFF)
TARGETS = {
    target.name: target
    for target in (
        Target("PNG image", png_image, seeds.pngs),
        Target("TIFF image", image(MediaType.TIFF), seeds.tiffs),
        Target("frame record", frame, seeds.frames),
        Target("label", label, seeds.labels),
        Target("images of a label", label_images, _label_image_seeds),
        Target("JSON event", any_event, _event_seeds),
        Target("stored sample", sample, seeds.samples),
        Target("dead letter", dead_letter, seeds.dead_letters),
        Target("TIFF stack file", source(".tif", lambda path: TiffStack(path, ACQUISITION)), seeds.tiffs),
        Target("JPEG file", source(".jpg", lambda path: ImageFolder(path.parent, ACQUISITION)), seeds.jpegs),
        Target(
            "raw array file", raw_array, lambda: [bytes([1, 8, 9, 8]) + bytes(288), bytes([2, 4, 9, 8]) + bytes(288)]
        ),
        Target("artifact", artifact, lambda: [b"\3weights of a model", b"\x09" + bytes(300)]),
    )
}
