"""Takes releases back whose score drops on labels that they have not learned."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from learner.labels import Label
from learner.scores import FrameScores
from memory.samples import Sample
from schemas.events import ScoreComparison
from stream.scoring import Confusion

PREQUENTIAL = "prequential"

_VERSIONS = 1024
"""Newest versions whose labels count: one on a judgement by an older version says nothing of what serves."""


@dataclass(frozen=True, slots=True)
class _Judged:
    sample: Sample
    counts: Confusion
    parent: int


@dataclass(frozen=True, slots=True)
class LookBack:
    """What the newest labels say of the newest releases.

    Attributes
    ----------
    comparison : ScoreComparison
        What served, as candidate, against the version from before.
    before : int
        That version: the parent of what judged the first frame of the window.
    """

    comparison: ScoreComparison
    before: int


class RollbackWatch:
    """Compares what served while the newest labelled frames came with the version that served before them.

    Judge, then learn: what counts is the judgement that was published of a
    frame, by a version that cannot have learned its label; the version from
    before is older still. A window outlives releases, so it fills however few
    labels lie between two of them, and what is taken back is every release
    since its first frame. Labels without a judgement say nothing of releases.

    Parameters
    ----------
    window : int
        Labels compared.
    margin : float
        How much worse the Dice of the defect pixels may be, whatever their class.
    """

    def __init__(self, window: int, margin: float) -> None:
        self._window = window
        self._margin = margin
        self._parents: OrderedDict[int, int] = OrderedDict()
        self._judged: list[_Judged] = []
        self._last: float | None = None

    def serves(self, version: int, parent: int | None) -> None:
        """Note what serves from now on; without a parent there is nothing to return to, and a window begun is void."""
        if parent is None:
            self._parents.clear()
            self._judged.clear()
            self._last = None
        else:
            self._parents[version] = parent
            while len(self._parents) > _VERSIONS:
                self._parents.popitem(last=False)

    def add(self, label: Label) -> None:
        """Take a label that has just come."""
        parent = None if label.served_by is None else self._parents.get(label.served_by)
        if label.served is not None and parent is not None:
            self._judged.append(_Judged(label.sample, label.served, parent))

    @property
    def due(self) -> bool:
        """Whether the window is full."""
        return len(self._judged) >= self._window

    def compare(self, load: Callable[[int], FrameScores]) -> LookBack | None:
        """Look at a full window and begin the next one. Blocking.

        Parameters
        ----------
        load : callable
            Returns what a version makes of frames. It is asked only where the
            score is worse than in the window before: a new domain lowers it
            too, so only the version from before can tell why.

        Returns
        -------
        LookBack or None
            None where the score has not dropped.
        """
        judged, self._judged = self._judged[: self._window], self._judged[self._window :]
        first, *others = (j.counts for j in judged)
        now = sum(others, start=first).foreground_dice
        last, self._last = self._last, now
        if last is not None and now >= last - self._margin:
            return None
        before = judged[0].parent
        then = load(before).dice([j.sample for j in judged])
        comparison = ScoreComparison(
            evaluation_set=PREQUENTIAL,
            group="all",
            samples=len(judged),
            serving=then,
            candidate=now,
            drop=then - now,
            margin=self._margin,
            passed=now >= then - self._margin,
        )
        return LookBack(comparison, before)
