"""Inspectors compared by how often their labels pull the network against what others taught it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.stats

from learner.observations import Observations
from learner.settings import InspectorSettings


@dataclass(frozen=True, slots=True)
class Opposition:
    """An inspector's labels undo what the others' teach, and those of the others do not.

    Attributes
    ----------
    opposed, welds : int
        Welds of theirs whose labels pull against the others', of how many.
    others_opposed, others_welds : int
        The same of everybody else.
    p_value : float
        How likely so many are by chance: one-sided exact test of Fisher.
    """

    opposed: int
    welds: int
    others_opposed: int
    others_welds: int
    p_value: float


class ConflictWatch:
    """Compares inspectors by the angle between the gradient of their labels and that of the others' labels.

    A gradient that has a negative product with another one undoes what that
    one teaches. Honest labels do it too, now and then, and all of them more
    often in a new domain; a poisoner does it where the others do not. What
    the network makes of the frame does not matter, so labels without a
    judgement count, and so does a wrong class on the right pixels, which the
    agreement with what was served does not show. A weld counts once, as
    opposed where the mean cosine of its labels is negative (Fisher 1922, the
    exact test, for there are few of them).

    Parameters
    ----------
    settings : InspectorSettings
        Welds compared, and when a difference is too large.
    """

    def __init__(self, settings: InspectorSettings) -> None:
        self._settings = settings
        self._seen = Observations(settings.window_welds)

    def add(self, inspector_id: str, domain: str, weld_id: str, label_id: str, cosine: float) -> Opposition | None:
        """Take one label; return what opposes where there is something.

        Parameters
        ----------
        inspector_id, domain, weld_id, label_id : str
            Whose, of what.
        cosine : float
            Of the angle between the label's gradient and that of the others' labels.
        """
        self._seen.add(inspector_id, domain, weld_id, label_id, cosine)
        own, others = self._seen.compare(inspector_id, domain)
        least = self._settings.least_welds
        if len(own) < least or len(others) < least:
            return None
        opposed, others_opposed = int((own < 0).sum()), int((others < 0).sum())
        if opposed / len(own) - others_opposed / len(others) <= self._settings.conflict_margin:
            return None
        table = np.array([[opposed, len(own) - opposed], [others_opposed, len(others) - others_opposed]])
        p_value = float(scipy.stats.fisher_exact(table, alternative="greater").pvalue)
        if p_value >= self._settings.conflict_significance:
            return None
        return Opposition(opposed, len(own), others_opposed, len(others), p_value)

    def forget(self, inspector_id: str) -> None:
        """Begin anew with an inspector."""
        self._seen.forget(inspector_id)

    def state(self) -> dict[str, Any]:
        """Return what was seen, for a checkpoint."""
        return self._seen.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state` returned."""
        self._seen.restore(state)
