"""Inspectors compared by how their labels agree with what was served."""

from collections import OrderedDict, defaultdict
from dataclasses import dataclass

import numpy as np
import scipy.stats

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
        self._welds: defaultdict[str, dict[str, OrderedDict[str, list[float]]]] = defaultdict(dict)

    def add(self, inspector_id: str, domain: str, weld_id: str, agreement: float) -> Suspicion | None:
        """Take one label; return a suspicion of its inspector where there is one.

        Parameters
        ----------
        inspector_id, domain, weld_id : str
            Whose, of what.
        agreement : float
            Dice of the published defect pixels with the labelled ones.
        """
        welds = self._welds[domain].setdefault(inspector_id, OrderedDict())
        welds.setdefault(weld_id, []).append(agreement)
        while len(welds) > self._settings.window_welds:
            welds.popitem(last=False)
        own = _means(welds)
        others = np.concatenate(
            [np.empty(0), *(_means(w) for name, w in self._welds[domain].items() if name != inspector_id)]
        )
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
        for inspectors in self._welds.values():
            inspectors.pop(inspector_id, None)


def _means(welds: OrderedDict[str, list[float]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([np.mean(values) for values in welds.values()], dtype=np.float64)
