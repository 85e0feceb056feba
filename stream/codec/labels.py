"""Labels: an inspector's mask, read into the deployment's own class order."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.classes import BACKGROUND, ClassTable
from schemas.errors import BadMaskError, BadPayloadError, NonFiniteError, UnknownFrameError
from schemas.labels import LabelledFrame
from schemas.topics import LABELS
from stream.codec.events import decode_event
from stream.codec.images import FrameLimits, Pixels
from stream.codec.rasters import Fetch, decode_raster
from stream.records import InRecord

_MOST_CLASSES = 255


@dataclass(frozen=True, slots=True, eq=False)
class DecodedLabel:
    """A label that can be learned.

    Attributes
    ----------
    label : LabelledFrame
        As it was sent.
    pixels : ndarray
        (H, W), uint8, uint16 or float32.
    mask : ndarray
        (H, W) uint8 in the deployment's class order.
    """

    label: LabelledFrame
    pixels: Pixels
    mask: NDArray[np.uint8]


def decode_label(
    record: InRecord,
    limits: FrameLimits,
    classes: ClassTable,
    fetch: Fetch | None = None,
    *,
    max_bytes: int | None = None,
) -> DecodedLabel:
    """Read a label with its pixels.

    Parameters
    ----------
    record : InRecord
        From the labels topic.
    limits : FrameLimits
        What is accepted.
    classes : ClassTable
        The deployment's classes.
    fetch : callable or None
        Reads claim checks.
    max_bytes : int or None
        Largest label with all that it carries; by default as large as the topic allows.

    Raises
    ------
    UnknownFrameError
        If there are no pixels, or they cannot be found.
    BadMaskError
        If the mask has another size or shows a class nobody configured.
    BadRecordError
        Whatever else is wrong with it.
    """
    label = decode_event(record, LABELS, LabelledFrame, max_bytes=max_bytes)
    if label.pixels is None:
        raise UnknownFrameError(f"label {label.label_id!r} carries no pixels of frame {label.frame.frame_id!r}")
    pixels = decode_raster(label.pixels, limits, fetch)
    try:
        drawn = decode_raster(label.mask, limits, fetch)
    except (BadPayloadError, NonFiniteError) as error:
        raise BadMaskError(f"the mask cannot be read: {error}") from error
    return DecodedLabel(label, pixels, remap_mask(drawn, pixels.shape, label.classes, classes))


def remap_mask(drawn: Pixels, shape: tuple[int, ...], codes: tuple[int, ...], classes: ClassTable) -> NDArray[np.uint8]:
    """Translate a mask from the class order it was drawn under to the deployment's.

    Classes that the deployment does not know are refused only where the mask shows them.

    Raises
    ------
    BadMaskError
        If size, sample type or a value is wrong.
    """
    if drawn.dtype != np.uint8:
        raise BadMaskError(f"the mask has {drawn.dtype} samples; uint8 is needed")
    if drawn.shape != shape:
        raise BadMaskError(f"the mask has {drawn.shape} pixels, but its frame has {shape}")
    if len(codes) > _MOST_CLASSES:
        raise BadMaskError(f"the label names {len(codes)} classes; a mask can show {_MOST_CLASSES}")
    if len(set(codes)) != len(codes):
        raise BadMaskError("the label names a class twice")
    known = set(classes.codes)
    table = np.full(256, BACKGROUND, dtype=np.uint8)
    for value, code in enumerate(codes, start=1):
        if code in known:
            table[value] = classes.index(code)
    used = np.flatnonzero(np.bincount(drawn.ravel(), minlength=256))
    for value in used[used > BACKGROUND]:
        if value > len(codes):
            raise BadMaskError(f"the mask shows value {value}, but the label names {len(codes)} classes")
        if codes[value - 1] not in known:
            raise BadMaskError(f"the mask shows class {codes[value - 1]}, which is not configured")
    return table[drawn]
