"""What is to be judged again, how much of it, and what came of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from aiokafka.structs import TopicPartition

from schemas.errors import WeldstreamError
from schemas.judgements import Judgement
from schemas.recalls import WeldRecall


class NothingJudgedError(WeldstreamError):
    """A recall finds no judgement of the versions that it is to recall."""

    reason = "nothing_judged"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is judged again.

    Attributes
    ----------
    recall_id : str
        The same for a repetition.
    model_name : str
        The model line.
    judged_by : tuple of int
        Versions whose judgements are looked at.
    again_by : int
        The version that judges now.
    since, until : datetime or None
        Only judgements made from then on, and before then.
    """

    recall_id: str
    model_name: str
    judged_by: tuple[int, ...]
    again_by: int
    since: datetime | None = None
    until: datetime | None = None

    def concerns(self, judgement: Judgement) -> bool:
        """Tell whether a judgement is to be looked at."""
        model = judgement.model
        if (model.name, model.version in self.judged_by) != (self.model_name, True):
            return False
        at = judgement.judged_at
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a recall stops; what is left is for the next one.

    Attributes
    ----------
    frames : int
        Most judgements that are looked at.
    seconds : float or None
        Longest time that is spent.
    """

    frames: int = 10_000
    seconds: float | None = None


@dataclass(slots=True)
class RecallReport:
    """What another version says of the welds.

    Attributes
    ----------
    plan : Plan
        What was asked.
    welds : dict of str to WeldRecall
        Every weld that was looked at, with what was known of it before.
    complete : bool
        Whether no limit ended it.
    scanned : dict of TopicPartition to int
        Where the judgements ended; if it is complete, the next round may start there.
    """

    plan: Plan
    welds: dict[str, WeldRecall] = field(default_factory=dict)
    complete: bool = True
    scanned: dict[TopicPartition, int] = field(default_factory=dict)

    @property
    def flipped(self) -> list[WeldRecall]:
        """Welds whose verdict flips, by name."""
        return [weld for _, weld in sorted(self.welds.items()) if weld.verdict_flips]

    def lines(self) -> Iterator[str]:
        """Yield the report for people."""
        old, new = " and ".join(f"v{n}" for n in self.plan.judged_by), f"v{self.plan.again_by}"
        frames, gone = sum(w.frames for w in self.welds.values()), sum(w.gone for w in self.welds.values())
        yield f"{frames} frames that {old} judged were judged by {new}, {gone} are gone"
        words = {True: "defective", False: "sound"}
        for weld in self.flipped:
            yield f"  {weld.weld_id}: {words[weld.defective_before]} by {old}, {words[weld.defective_after]} by {new}"
        within = sorted(weld_id for weld_id, weld in self.welds.items() if weld.flipped and not weld.verdict_flips)
        if within:
            yield f"  frames flip in {len(within)} more welds, whose verdict stays: {', '.join(within)}"
        if not self.complete:
            yield "a limit ended it before everything was judged again"
