"""Takes a release back whose score drops on labels that it has not learned."""

from collections.abc import Callable

from learner.labels import Label
from learner.scores import FrameScores
from schemas.events import ScoreComparison

PREQUENTIAL = "prequential"


class RollbackWatch:
    """Compares the serving version with its parent on the labels that came after its release.

    Neither has learned them: both are fixed, and whatever the trainer does
    with the labels meanwhile reaches only later versions. What the serving
    version published for a label counts as its score; the rest is judged here.
    The parent's weights are judged once for each full window.

    Parameters
    ----------
    window : int
        Labels compared.
    margin : float
        How much worse the serving version's Dice may be.
    """

    def __init__(self, window: int, margin: float) -> None:
        self._window = window
        self._margin = margin
        self._version: int | None = None
        self._labels: list[Label] = []

    def watch(self, version: int | None) -> None:
        """Begin anew with a version that has just been announced; None watches nothing."""
        self._version = version
        self._labels = []

    def add(self, label: Label) -> None:
        """Take a label that came after the announcement."""
        if self._version is not None and len(self._labels) < self._window:
            self._labels.append(label)

    @property
    def due(self) -> bool:
        """Whether the window is full."""
        return len(self._labels) >= self._window

    def compare(self, serving: FrameScores, parent: Callable[[], FrameScores]) -> ScoreComparison:
        """Judge the window and begin the next one. Blocking.

        Parameters
        ----------
        serving : FrameScores
            Of the version watched.
        parent : callable
            Loads the parent.
        """
        labels, self._labels = self._labels, []
        for label in labels:
            if label.served is not None and label.served_by == self._version:
                serving.add(label.sample.label_id, label.served)
        samples = [label.sample for label in labels]
        before, now = parent().dice(samples), serving.dice(samples)
        return ScoreComparison(
            evaluation_set=PREQUENTIAL,
            group="all",
            samples=len(samples),
            serving=before,
            candidate=now,
            margin=self._margin,
            passed=now >= before - self._margin,
        )
