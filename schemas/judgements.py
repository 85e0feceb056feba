"""What one model version said of one frame."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.frames import Identifier
from schemas.rasters import Raster, Sha256

MOST = 2**53 - 1
"""The greatest whole number that every language's JSON reader and every metric keeps exactly."""

Probability = Annotated[float, Field(ge=0, le=1)]


class ModelRef(BaseModel):
    """A model version, by name, number and content.

    Attributes
    ----------
    name : str
        The model line, for example ``weld``.
    version : int
        Number in that line, counted from 1; compared as a number.
    digest : str
        sha256 of the version's weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Identifier
    version: Annotated[int, Field(ge=1, le=MOST)]
    digest: Sha256


class Box(BaseModel):
    """Bounding box in mm from the upper left corner of the frame."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    top_mm: float
    left_mm: float
    bottom_mm: float
    right_mm: float


class Indication(BaseModel):
    """One connected region that the model takes for an imperfection.

    Attributes
    ----------
    code, name : int, str
        Class of the imperfection.
    area_mm2 : float
        Area in square millimetres.
    box : Box
        Bounding box in mm.
    confidence : float
        Mean probability of the class over the region's pixels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    code: int
    name: str
    area_mm2: Annotated[float, Field(gt=0)]
    box: Box
    confidence: Probability


class RecordPosition(BaseModel):
    """Where a Kafka record lies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: str
    partition: Annotated[int, Field(ge=0, le=MOST)]
    offset: Annotated[int, Field(ge=0, le=MOST)]


class ChainLink(BaseModel):
    """Where a judgement stands among those of its weld's pass.

    A pass begins with a weld's first frame and ends when none has come for
    some time; one model version judges all of it. The chain cannot be changed
    unseen: each link holds the digest of the record before it.

    Attributes
    ----------
    pass_id : str
        Id of the first frame of the pass.
    sequence : int
        Number of judgements of the pass before this one.
    previous : str or None
        sha256 of the value of the record that holds the judgement before; None for the first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pass_id: Identifier
    sequence: Annotated[int, Field(ge=0, le=MOST)]
    previous: Sha256 | None


class Judgement(BaseModel):
    """The answer to one frame.

    Attributes
    ----------
    frame_id, weld_id, position_mm, frame_time, domain
        Of the frame judged.
    source : RecordPosition
        Where the frame lies in Kafka.
    pixels_sha256 : str
        Of the frame's payload as it arrived.
    model : ModelRef
        The version that judged.
    preprocessing : str
        Version of the preprocessing.
    thresholds : mapping of str to float
        The flagging settings it was read with, by name.
    chain : ChainLink
        The judgement before it.
    judged_at : datetime
        When the judgement was ready.
    mask : Raster
        PNG, uint8, of the frame's size; value i means ``classes[i - 1]``.
    classes : tuple of int
        Class codes in mask order.
    indications : tuple of Indication
        Regions in the mask, largest first.
    uncertainty : float
        Of the whole frame, 0 (certain) to 1: the highest local mean of the
        per-pixel entropy divided by the logarithm of the number of classes.
    flagged : bool
        Whether a person is asked to look at it because of a defect.
    latency_seconds : float
        From the frame's Kafka timestamp to ``judged_at``.
    compute_seconds : float
        The frame's share of its batch's model run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    frame_id: Identifier
    weld_id: Identifier
    position_mm: float
    frame_time: AwareDatetime
    domain: str
    source: RecordPosition
    pixels_sha256: Sha256
    model: ModelRef
    preprocessing: str
    thresholds: dict[str, float]
    chain: ChainLink
    judged_at: AwareDatetime
    mask: Raster
    classes: tuple[int, ...]
    indications: tuple[Indication, ...]
    uncertainty: Probability
    flagged: bool
    latency_seconds: float
    compute_seconds: Annotated[float, Field(ge=0)]
