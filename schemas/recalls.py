"""What another version says of a weld that was judged already."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.frames import Identifier
from schemas.judgements import MOST, RecordPosition


class WeldRecall(BaseModel):
    """A weld whose frames were judged again, because what judged them was taken back or a person asked.

    The newest record of a recall and a weld holds for the whole weld: it
    counts what the records before it counted.

    Attributes
    ----------
    recall_id : str
        One recall; ``NAME-SEQUENCE`` of the roll-back that it follows on, or the versions that a person named.
    weld_id : str
        The weld.
    judged_by : tuple of int
        The versions whose judgements were looked at.
    judged_again_by : int
        The version that judged their frames again.
    defective_before, defective_after : bool
        Whether any frame was flagged by the former, and by the latter.
    frames : int
        Frames judged again.
    gone : int
        Frames that are no longer retained.
    flipped : tuple of str
        Frames that one of them flags and the other does not.
    upto : RecordPosition
        The last judgement that was looked at.
    recalled_at : datetime
        When this was published.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recall_id: Annotated[str, Field(min_length=1, max_length=300)]
    weld_id: Identifier
    judged_by: Annotated[tuple[int, ...], Field(min_length=1)]
    judged_again_by: Annotated[int, Field(ge=1, le=MOST)]
    defective_before: bool
    defective_after: bool
    frames: Annotated[int, Field(ge=0, le=MOST)]
    gone: Annotated[int, Field(ge=0, le=MOST)]
    flipped: tuple[Identifier, ...]
    upto: RecordPosition
    recalled_at: AwareDatetime

    @property
    def verdict_flips(self) -> bool:
        """Whether the weld as a whole would have been judged otherwise."""
        return self.defective_before != self.defective_after
