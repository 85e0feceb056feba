import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from schemas import ClassTable, LabelledFrame, Raster
from schemas.errors import (
    ArtifactNotFoundError,
    BadMaskError,
    BadPayloadError,
    DigestMismatchError,
    UnknownFrameError,
)
from schemas.topics import LABELS
from stream.codec import FrameLimits, decode_label, encode_event, encode_raster
from tests.unit.stream.samples import TIME, Record, arrived, make_frame, speckle

LIMITS = FrameLimits()
CLASSES = ClassTable()
PIXELS = speckle("uint16", (8, 9))


def published(
    mask: NDArray[np.generic] | Raster, classes: tuple[int, ...] = CLASSES.codes, pixels: Raster | None = None
) -> Record:
    label = LabelledFrame(
        label_id="L1",
        labelled_at=TIME,
        inspector_id="ada",
        frame=make_frame(),
        pixels=pixels,
        mask=mask if isinstance(mask, Raster) else encode_raster(mask),
        classes=classes,
    )
    return arrived(encode_event("t", LABELS, label, key="W1", event_id="L1", source="s", time=TIME))


@settings(max_examples=40, deadline=None)
@given(order=st.permutations(CLASSES.codes), seed=st.integers(0, 1000))
def test_masks_are_read_into_our_class_order(order: list[int], seed: int) -> None:
    ours = np.random.default_rng(seed).integers(0, len(CLASSES), (8, 9), dtype=np.uint8)
    codes = np.array([0, *CLASSES.codes])[ours]
    position = {code: value for value, code in enumerate([0, *order])}
    theirs = np.vectorize(position.__getitem__)(codes).astype(np.uint8)
    decoded = decode_label(published(theirs, tuple(order), encode_raster(PIXELS)), LIMITS, CLASSES)
    np.testing.assert_array_equal(decoded.mask, ours)
    np.testing.assert_array_equal(decoded.pixels, PIXELS)
    assert decoded.label.label_id == "L1"


def test_an_unknown_class_is_refused_where_it_is_drawn() -> None:
    mask = np.zeros((8, 9), np.uint8)
    record = published(mask, (*CLASSES.codes, 999), encode_raster(PIXELS))
    assert not decode_label(record, LIMITS, CLASSES).mask.any()
    mask[2, 3] = 6
    with pytest.raises(BadMaskError, match="999"):
        decode_label(published(mask, (*CLASSES.codes, 999), encode_raster(PIXELS)), LIMITS, CLASSES)


def test_a_value_without_a_class_is_refused() -> None:
    with pytest.raises(BadMaskError, match="value 3"):
        decode_label(published(np.full((8, 9), 3, np.uint8), (100, 300), encode_raster(PIXELS)), LIMITS, CLASSES)


def test_a_class_named_twice_is_refused() -> None:
    with pytest.raises(BadMaskError, match="twice"):
        decode_label(published(np.zeros((8, 9), np.uint8), (100, 100), encode_raster(PIXELS)), LIMITS, CLASSES)


@pytest.mark.parametrize(
    "mask", [np.zeros((9, 8), np.uint8), np.zeros((8, 9), np.uint16)], ids=["another size", "another dtype"]
)
def test_a_mask_of_another_size_or_kind_is_refused(mask: NDArray[np.generic]) -> None:
    with pytest.raises(BadMaskError):
        decode_label(published(mask, pixels=encode_raster(PIXELS)), LIMITS, CLASSES)


def test_a_mask_that_cannot_be_read_is_refused() -> None:
    mask = encode_raster(np.zeros((8, 9), np.uint8))
    broken = mask.model_copy(update={"data": (mask.data or b"")[:30]})
    with pytest.raises(BadMaskError, match="mask"):
        decode_label(published(broken, pixels=encode_raster(PIXELS)), LIMITS, CLASSES)


def test_a_label_without_pixels_is_for_an_unknown_frame() -> None:
    with pytest.raises(UnknownFrameError, match="W1-000001"):
        decode_label(published(np.zeros((8, 9), np.uint8)), LIMITS, CLASSES)


def test_claim_checks_of_pixels() -> None:
    data = encode_raster(PIXELS).data or b""
    mask = np.zeros((8, 9), np.uint8)
    check = Raster(media_type="image/png", uri="x", sha256=hashlib.sha256(data).hexdigest())

    def nowhere(uri: str, sha256: str) -> bytes:
        raise ArtifactNotFoundError(uri)

    found = decode_label(published(mask, pixels=check), LIMITS, CLASSES, lambda uri, sha256: data)
    np.testing.assert_array_equal(found.pixels, PIXELS)
    with pytest.raises(UnknownFrameError):
        decode_label(published(mask, pixels=check), LIMITS, CLASSES, nowhere)
    with pytest.raises(DigestMismatchError):
        decode_label(published(mask, pixels=check), LIMITS, CLASSES, lambda uri, sha256: data + b"x")
    with pytest.raises(BadPayloadError):
        decode_label(published(mask, pixels=Raster(media_type="image/png")), LIMITS, CLASSES)
