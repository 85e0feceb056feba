"""What must be known of a weld: so that another process can go on with it, and so that its end can be proved."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.frames import Identifier
from schemas.judgements import MOST
from schemas.rasters import Sha256


class Stretch(BaseModel):
    """A stretch of a weld in which a class was seen without a gap, and alerted once.

    Attributes
    ----------
    code : int
        The class.
    first_frame : str
        The frame that began it.
    start_mm, end_mm : float
        Its ends along the weld.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    code: int
    first_frame: Identifier
    start_mm: float
    end_mm: float


class WeldState(BaseModel):
    """A weld in progress.

    Attributes
    ----------
    weld_id : str
        The weld.
    pass_id : str
        The frame with which this pass began.
    model_version : int
        The version that judges the whole pass.
    judged : int
        Judgements of the pass so far.
    head : str or None
        sha256 of the value of the record of the last one.
    stretches : tuple of Stretch
        What was alerted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weld_id: Identifier
    pass_id: Identifier
    model_version: Annotated[int, Field(ge=1, le=MOST)]
    judged: Annotated[int, Field(ge=0, le=MOST)]
    head: Sha256 | None
    stretches: tuple[Stretch, ...]


class PassEnd(BaseModel):
    """A pass that has ended: what its chain of judgements must end with.

    Attributes
    ----------
    weld_id, pass_id : str
        The weld, and the frame with which the pass began.
    model_version : int
        The version that judged it.
    judged : int
        Judgements in all.
    head : str
        sha256 of the value of the record of the last one.
    ended_at : datetime
        When the pass was closed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weld_id: Identifier
    pass_id: Identifier
    model_version: Annotated[int, Field(ge=1, le=MOST)]
    judged: Annotated[int, Field(ge=1, le=MOST)]
    head: Sha256
    ended_at: AwareDatetime
