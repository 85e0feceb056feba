"""Takes releases back whose score drops on labels that they have not learned."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from learner.labels import Label
from learner.scores import FrameScores
from memory.samples import Sample
from schemas.events import ScoreComparison
from stream.scoring import Confusion

PREQUENTIAL = "prequential"


@dataclass(frozen=True, slots=True)
class _Scored:
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
        That version: the parent of what served when the first label of the window came.
    """

    comparison: ScoreComparison
    before: int


class RollbackWatch:
    """Compares what served while the newest labels came with the version that served before them.

    Each label is scored with the version that serves when it comes, before
    anything learns it: judge, then learn. The version from before is older
    than all of them, so it has learned none either. A window outlives
    releases, so it fills however few labels lie between two of them, and what
    is taken back is every release since its first label.

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
        self._version: int | None = None
        self._parent: int | None = None
        self._arrived: deque[Label] = deque(maxlen=window)
        self._scored: list[_Scored] = []

    def serves(self, version: int, parent: int | None) -> None:
        """Note what serves from now on; without a parent there is nothing to return to, and a window begun is void."""
        self._version, self._parent = version, parent
        if parent is None:
            self._arrived.clear()
            self._scored.clear()

    def add(self, label: Label) -> None:
        """Take a label that has just come."""
        if self._parent is not None:
            self._arrived.append(label)

    @property
    def unscored(self) -> bool:
        """Whether labels came that :meth:`score` has not seen; none of them may be learned yet."""
        return bool(self._arrived)

    def score(self, serving: FrameScores) -> None:
        """Score the labels that came. Blocking.

        Parameters
        ----------
        serving : FrameScores
            Of the version that serves; what it published with a label counts, the rest is judged here.
        """
        assert self._parent is not None
        for label in [self._arrived.popleft() for _ in range(len(self._arrived))]:
            if label.served is not None and label.served_by == self._version:
                counts = label.served
            else:
                (counts,) = serving.of([label.sample])
            self._scored.append(_Scored(label.sample, counts, self._parent))

    @property
    def due(self) -> bool:
        """Whether the window is full."""
        return len(self._scored) >= self._window

    def compare(self, load: Callable[[int], FrameScores]) -> LookBack:
        """Judge a full window and begin the next one. Blocking.

        Parameters
        ----------
        load : callable
            Returns what a version makes of frames.
        """
        scored, self._scored = self._scored, []
        before = scored[0].parent
        empty = Confusion.empty(len(scored[0].counts.shown))
        now = sum((s.counts for s in scored), start=empty).foreground_dice
        then = load(before).dice([s.sample for s in scored])
        comparison = ScoreComparison(
            evaluation_set=PREQUENTIAL,
            group="all",
            samples=len(scored),
            serving=then,
            candidate=now,
            drop=then - now,
            margin=self._margin,
            passed=now >= then - self._margin,
        )
        return LookBack(comparison, before)
