"""Whose labels are learned."""

from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict

from schemas.frames import Identifier


class Standing(StrEnum):
    """What becomes of an inspector's labels."""

    TRUSTED = "trusted"
    QUARANTINED = "quarantined"
    REVOKED = "revoked"


class InspectorStanding(BaseModel):
    """Decides what becomes of an inspector's labels; the newest decision counts, and nobody is distrusted unasked.

    Attributes
    ----------
    inspector_id : str
        Who.
    standing : Standing
        Trusted: labels are learned. Quarantined: they are set aside as dead
        letters, from which they can be sent back. Revoked: they are never
        learned, and what was learned from them is learned anew without them.
    reason : str
        For people.
    decided_by : str
        A person, or the learner itself.
    decided_at : datetime
        When.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    inspector_id: Identifier
    standing: Standing
    reason: str
    decided_by: str
    decided_at: AwareDatetime
