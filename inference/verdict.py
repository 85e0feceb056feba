"""From what a model says of a frame to what is published of it; the same for a judgement and for its verification."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from inference.flagging import FlaggingRule
from inference.postprocessing import find_indications, frame_uncertainty
from inference.settings import FlaggingSettings
from schemas.classes import ClassTable
from schemas.frames import Frame
from schemas.judgements import Indication
from schemas.labels import ReviewReason

Outputs: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is concluded of a frame.

    Attributes
    ----------
    indications, uncertainty
        As in :class:`~schemas.judgements.Judgement`.
    reasons : tuple of ReviewReason
        Why a person is to look at it; empty if nobody need.
    """

    indications: tuple[Indication, ...]
    uncertainty: float
    reasons: tuple[ReviewReason, ...]

    @property
    def flagged(self) -> bool:
        """Whether a person is to look at it because of a defect."""
        return ReviewReason.DEFECT in self.reasons


def conclude(
    frame: Frame,
    outputs: Outputs,
    classes: ClassTable,
    flagging: FlaggingSettings,
) -> Verdict:
    """Read a model's outputs of one frame.

    Parameters
    ----------
    frame : Frame
        The frame.
    outputs : mask, confidence, entropy : (H, W) uint8, float32, float32
        As in :class:`~inference.session.Predictions`.
    classes : ClassTable
        What mask values mean.
    flagging : FlaggingSettings
        Thresholds.

    Raises
    ------
    ValueError
        If an output is not finite.
    """
    mask, confidence, entropy = outputs
    # A sum is not finite where any summand is not, and needs no array of its own.
    if not np.isfinite(confidence.sum() + entropy.sum()):
        msg = "it is not finite"
        raise ValueError(msg)
    indications = find_indications(mask, confidence, frame.spacing, classes, flagging.min_region_pixels)
    uncertainty = frame_uncertainty(entropy, flagging.window_pixels)
    return Verdict(indications, uncertainty, FlaggingRule(flagging).reasons(frame.frame_id, indications, uncertainty))
