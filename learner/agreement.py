"""Inspectors compared by how their labels agree with what was served."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.stats

from learner.observations import Observations
from learner.settings import InspectorSettings


@dataclass(frozen=True, slots=True)
class Suspicion:
    """An inspector disagrees with what was served, where the others do not.

    Attributes
    ----------
    agreement, others : float
        Mean Dice of the published judgement with the labels: theirs, and everybody else's.
    welds : int
        Welds of theirs on which this rests.
    p_value : float
        How likely so large a difference is by chance: one-sided test of Welch.
    """

    agreement: float
    others: float
    welds: int
    p_value: float


class AgreementWatch:
    """Compares inspectors by how their labels agree with the judgements that came with them.

    The judgement was published before the label existed, so agreement is no
    praise for learning it. A new domain or a bad release lowers everybody's
    agreement alike; a poisoner lowers only theirs. Frames of one weld
    resemble each other, so a weld counts as one observation: a mean over its
    labels (Welch 1947, the test for unequal variances).

    Parameters
    ----------
    settings : InspectorSettings
        Welds compared, and when a difference is too large.
    """

    def __init__(self, settings: InspectorSettings) -> None:
        self._settings = settings
        self._seen = Observations(settings.window_welds)

    def add(self, inspector_id: str, domain: str, weld_id: str, label_id: str, agreement: float) -> Suspicion | None:
        """Take one label; return a suspicion of its inspector where there is one.

        Parameters
        ----------
        inspector_id, domain, weld_id, label_id : str
            Whose, of what.
        agreement : float
            Dice of the published defect pixels with the labelled ones.
        """
        self._seen.add(inspector_id, domain, weld_id, label_id, agreement)
        own, others = self._seen.compare(inspector_id, domain)
        least = self._settings.least_welds
        if len(own) < least or len(others) < least:
            return None
        if float(others.mean() - own.mean()) <= self._settings.margin:
            return None
        # Two constant samples have no variance to test by, and then the difference is certain.
        constant = not np.ptp(own) and not np.ptp(others)
        test = (
            0.0 if constant else float(scipy.stats.ttest_ind(own, others, equal_var=False, alternative="less").pvalue)
        )
        if test >= self._settings.significance:
            return None
        return Suspicion(float(own.mean()), float(others.mean()), len(own), test)

    def forget(self, inspector_id: str) -> None:
        """Begin anew with an inspector."""
        self._seen.forget(inspector_id)

    def state(self) -> dict[str, Any]:
        """Return what was seen, for a checkpoint."""
        return self._seen.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state` returned."""
        self._seen.restore(state)
