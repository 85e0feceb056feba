"""The vocabulary of weldstream: frozen models of everything that crosses a process boundary. No I/O."""

from schemas.classes import BACKGROUND, ISO_6520_1, ClassTable, DefectClass
from schemas.errors import WeldstreamError
from schemas.events import (
    Artifact,
    DefectAlert,
    DriftAlarm,
    GateVerdict,
    ModelReleased,
    ModelVersion,
    ReleaseKind,
    ScoreComparison,
)
from schemas.frames import Frame, PixelSpacing, Probe, View, derive_domain
from schemas.judgements import Box, Indication, Judgement, ModelRef, RecordPosition
from schemas.labels import LabelledFrame, ReviewReason, ReviewRequest
from schemas.rasters import MediaType, Raster
from schemas.recalls import WeldRecall
from schemas.signatures import Signature
from schemas.topics import TOPICS, Topic

__all__ = [
    "BACKGROUND",
    "ISO_6520_1",
    "TOPICS",
    "Artifact",
    "Box",
    "ClassTable",
    "DefectAlert",
    "DefectClass",
    "DriftAlarm",
    "Frame",
    "GateVerdict",
    "Indication",
    "Judgement",
    "LabelledFrame",
    "MediaType",
    "ModelRef",
    "ModelReleased",
    "ModelVersion",
    "PixelSpacing",
    "Probe",
    "Raster",
    "RecordPosition",
    "ReleaseKind",
    "ReviewReason",
    "ReviewRequest",
    "ScoreComparison",
    "Signature",
    "Topic",
    "View",
    "WeldRecall",
    "WeldstreamError",
    "derive_domain",
]
