"""What is asked of inspectors, and what they answer."""

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.frames import Frame, Identifier
from schemas.judgements import Judgement
from schemas.rasters import Raster


class ReviewReason(StrEnum):
    """Why a frame is shown to a person."""

    DEFECT = "defect"
    UNCERTAIN = "uncertain"
    AUDIT = "audit"
    RECALL = "recall"


class ReviewRequest(BaseModel):
    """Asks an inspector to label a frame.

    Attributes
    ----------
    request_id : str
        Unique; derived from the frame, and from the versions of a recall, so
        that a repetition has the same id.
    requested_at : datetime
        When it was asked.
    reasons : tuple of ReviewReason
        All that apply.
    frame, pixels : Frame, Raster
        What is to be labelled: the frame itself, so that the answer never
        depends on how long the frames topic keeps its log.
    judgement : Judgement
        What the model said.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    request_id: Identifier
    requested_at: AwareDatetime
    reasons: Annotated[tuple[ReviewReason, ...], Field(min_length=1)]
    frame: Frame
    pixels: Raster
    judgement: Judgement


class LabelledFrame(BaseModel):
    """An inspector's answer: a frame, its pixels and the mask drawn by a person.

    Attributes
    ----------
    label_id : str
        Unique; the same label twice is learned once.
    labelled_at : datetime
        When the label was given.
    inspector_id : str
        Who gave it.
    frame, pixels : Frame, Raster
        The frame with its pixels, inline or by claim check.
    mask : Raster
        uint8 of the frame's size; value i means ``classes[i - 1]``, 0 background.
    classes : tuple of int
        Class codes in mask order, so that the mask can be read without
        knowing the configuration it was drawn under.
    request_id : str or None
        The review request answered, if any.
    reasons : tuple of ReviewReason
        Why the frame was asked for; empty if the label was volunteered.
    judgement : Judgement or None
        What the model had said: the prequential score of that version.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    label_id: Identifier
    labelled_at: AwareDatetime
    inspector_id: Identifier
    frame: Frame
    pixels: Raster | None = None
    mask: Raster
    classes: Annotated[tuple[int, ...], Field(min_length=1)]
    request_id: Identifier | None = None
    reasons: tuple[ReviewReason, ...] = ()
    judgement: Judgement | None = None
