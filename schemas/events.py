"""Announcements: alerts, releases, drift, dead letters."""

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.classes import ClassTable
from schemas.frames import Identifier
from schemas.judgements import MOST, ModelRef, Probability
from schemas.rasters import Sha256
from schemas.signatures import Signature


class DefectAlert(BaseModel):
    """One indication of a weld that is above the alert rule; sent once along the weld.

    Attributes
    ----------
    alert_id : str
        Unique; the same weld, class and first frame give the same id.
    weld_id : str
        The weld.
    code, name : int, str
        Class of the imperfection.
    position_mm : float
        Where along the weld it was first seen.
    area_mm2, confidence : float
        Of the first indication above the rule.
    frame_id, model : str, ModelRef
        The frame that raised it and the version that judged it.
    raised_at : datetime
        When it was raised.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    alert_id: Identifier
    weld_id: Identifier
    code: int
    name: str
    position_mm: float
    area_mm2: Annotated[float, Field(gt=0)]
    confidence: Probability
    frame_id: Identifier
    model: ModelRef
    raised_at: AwareDatetime


class Artifact(BaseModel):
    """A file in the artifact store, named by its content."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: Sha256
    size_bytes: Annotated[int, Field(ge=0, le=MOST)]


class ScoreComparison(BaseModel):
    """The new and the serving model, judged on the same samples.

    Attributes
    ----------
    evaluation_set, group : str
        On what.
    samples : int
        Frames that count.
    serving, candidate : float
        Dice of each.
    drop : float
        By how much the candidate is worse, as far as it counts; compared with ``margin``.
    margin : float
        How much it may be.
    passed : bool
        Whether this refuses nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    evaluation_set: str
    group: str
    samples: Annotated[int, Field(ge=0)]
    serving: Probability | None
    candidate: Probability
    drop: float
    margin: float
    passed: bool


class GateVerdict(BaseModel):
    """Whether a candidate may be released, with the numbers that decided it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    passed: bool
    comparisons: tuple[ScoreComparison, ...]
    seconds: Annotated[float, Field(ge=0)]


class ReleaseKind(StrEnum):
    """Why a version is announced."""

    INITIAL = "initial"
    RELEASE = "release"
    ROLLBACK = "rollback"


class ModelVersion(BaseModel):
    """One entry of the model registry: all that is needed to load and to judge a version.

    Attributes
    ----------
    model : ModelRef
        Name, number and digest of the weights.
    parent : int or None
        The version it was trained from.
    graph, weights : Artifact
        The architecture's ONNX graph without weights, shared by all versions
        of an architecture, and this version's weights as safetensors, keyed
        by ONNX initializer name.
    architecture : str
        Human-readable name of the network.
    classes : ClassTable
        What its mask values mean.
    preprocessing : str
        Version of the preprocessing that it was trained with.
    size_multiple : int
        Rows and columns of the input are multiples of this number.
    labels_learned : int
        How many labels it has learned in all.
    labels_until : dict of int to int
        Per partition of the labels topic the offset of the first label that
        it has not learned: all before are in its training.
    labels_read : dict of int to int
        Per partition the offset of the first label that had not been read:
        none from there on is in its training.
    without_inspectors : tuple of str
        Inspectors whose labels were left out because they were revoked.
    metrics : dict of str to float
        Scores at release.
    gate : GateVerdict or None
        None for the first version only.
    created_at : datetime
        When the training state was taken.
    signature : Signature or None
        Over all other fields, by whoever published it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: ModelRef
    parent: int | None
    graph: Artifact
    weights: Artifact
    architecture: str
    classes: ClassTable
    preprocessing: str
    size_multiple: Annotated[int, Field(ge=1, le=1024)]
    labels_learned: Annotated[int, Field(ge=0, le=MOST)]
    labels_until: dict[int, int] = Field(default_factory=dict)
    labels_read: dict[int, int] = Field(default_factory=dict)
    without_inspectors: tuple[str, ...] = ()
    metrics: dict[str, float]
    gate: GateVerdict | None
    created_at: AwareDatetime
    signature: Signature | None = None


class ModelReleased(BaseModel):
    """Announces the version that is to serve from now on; the newest announcement of a model name wins.

    Attributes
    ----------
    version : ModelVersion
        What is to serve.
    kind : ReleaseKind
        A first model, a new one, or a return to an earlier one.
    sequence : int
        Grows with each announcement of this model name; an announcement that
        is not newer than the last one taken is ignored.
    epoch : int
        Which learner's: each that takes over begins a new one; 0 before the first.
    announced_at : datetime
        When it was announced.
    reason : str
        For people.
    signature : Signature or None
        Over all other fields, by whoever announced it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: ModelVersion
    kind: ReleaseKind
    sequence: Annotated[int, Field(ge=1, le=MOST)]
    epoch: Annotated[int, Field(ge=0, le=MOST)] = 0
    announced_at: AwareDatetime
    reason: str = ""
    signature: Signature | None = None


class DriftAlarm(BaseModel):
    """A detector found that a stream changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    detector: str
    statistic: str
    domain: str
    value: float
    frame_id: Identifier
    detected_at: AwareDatetime
