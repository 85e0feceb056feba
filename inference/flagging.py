"""Which frames a person is asked to look at, and why."""

import hashlib

from inference.settings import FlaggingSettings
from schemas.judgements import Indication
from schemas.labels import ReviewReason


class FlaggingRule:
    """Decides from a frame's result alone, so that a repetition is decided the same way.

    Parameters
    ----------
    settings : FlaggingSettings
        Thresholds and the audit's rate and seed.
    """

    def __init__(self, settings: FlaggingSettings) -> None:
        self._settings = settings

    def reasons(
        self, frame_id: str, indications: tuple[Indication, ...], uncertainty: float
    ) -> tuple[ReviewReason, ...]:
        """Return all reasons to show a frame; an audit takes only frames that nothing else would show."""
        s = self._settings
        reasons: list[ReviewReason] = []
        if any(i.area_mm2 >= s.min_area_mm2 and i.confidence >= s.min_confidence for i in indications):
            reasons.append(ReviewReason.DEFECT)
        if uncertainty >= s.min_uncertainty:
            reasons.append(ReviewReason.UNCERTAIN)
        if not reasons and draw(s.audit_seed, frame_id) < s.audit_rate:
            reasons.append(ReviewReason.AUDIT)
        return tuple(reasons)


def draw(seed: int, frame_id: str) -> float:
    """Return a number in [0, 1) that looks random and is always the same for a frame."""
    digest = hashlib.sha256(f"{seed}:{frame_id}".encode()).digest()
    # 53 bits: what a float holds exactly, so that the result stays below 1.
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53
