"""Scores of continual learning, from what was measured. No torch, no state.

A matrix R is (T + 1, T): ``R[0]`` holds the scores on each domain before
anything is learned, ``R[i, j]`` those on domain j after learning domain i
(counted from 1 in the rows), NaN where nothing was measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]


def average(matrix: Array) -> float:
    """Return the mean over the last row: the score at the end."""
    return float(matrix[-1].mean())


def learning(matrix: Array) -> float:
    """Return the mean score on each domain right after it was learned (Riemer et al. 2019)."""
    return float(_diagonal(matrix).mean())


def backward_transfer(matrix: Array) -> float:
    """Return the mean change from right after learning a domain to the end (Lopez-Paz & Ranzato 2017).

    The last domain, which nothing followed, does not count. NaN for one domain.
    """
    changes = (matrix[-1] - _diagonal(matrix))[:-1]
    return float(changes.mean()) if len(changes) else float("nan")


def forward_transfer(matrix: Array) -> float:
    """Return the mean gain on a domain from learning those before it, over no learning at all.

    Lopez-Paz & Ranzato (2017). NaN for one domain, or where later domains were not judged.
    """
    domains = matrix.shape[1]
    gains = [matrix[j, j] - matrix[0, j] for j in range(1, domains)]  # row j: after the j domains before domain j
    return float(np.mean(gains)) if gains else float("nan")


def forgetting(matrix: Array) -> float:
    """Return the mean drop from the best score a domain ever had, once learned, to the end (Chaudhry et al. 2018).

    The last domain does not count; a domain that got better counts as a negative drop. NaN for one domain.
    """
    domains = matrix.shape[1]
    drops = [matrix[j + 1 : -1, j].max() - matrix[-1, j] for j in range(domains - 1)]
    return float(np.mean(drops)) if drops else float("nan")


@dataclass(frozen=True, slots=True)
class Look:
    """What was judged at one step.

    Attributes
    ----------
    step : int
        Steps made.
    domain : int
        Domain being learned, from 0.
    scores : sequence of float
        On each domain begun so far; domain ``domain`` is the last.
    ended : bool
        Whether this step was the last of its domain.
    """

    step: int
    domain: int
    scores: Sequence[float]
    ended: bool = False


def min_accuracy(looks: Sequence[Look]) -> float:
    """Return the mean over past domains of the worst score each had after it was learned (De Lange et al. 2023).

    The domain that is learned last does not count. NaN where there is no past domain.
    """
    last = max(look.domain for look in looks)
    worst = [min(look.scores[j] for look in looks if look.domain > j) for j in range(last)]
    return float(np.mean(worst)) if worst else float("nan")


def worst_case_accuracy(looks: Sequence[Look]) -> float:
    """Return the end's score on the newest domain and :func:`min_accuracy`, weighed by their numbers of domains."""
    domains = max(look.domain for look in looks) + 1
    newest = looks[-1].scores[-1]
    if domains == 1:
        return float(newest)
    return float(newest / domains + (1 - 1 / domains) * min_accuracy(looks))


def served_regret(served: Sequence[Look]) -> float:
    """Return the largest drop of any version on a past domain from the best version served before it.

    A domain is past from the first version on that was released while a later one was learned, or when it had
    ended; the best before it is sought among all versions served until then, whenever. 0 where nothing dropped.

    Parameters
    ----------
    served : sequence of Look
        Versions in the order in which they were released.
    """
    best: list[float] = []
    regret = 0.0
    for version in served:
        for j, score in enumerate(version.scores):
            if j == len(best):
                best.append(score)
                continue
            if j < version.domain or version.ended:
                regret = max(regret, best[j] - score)
            best[j] = max(best[j], score)
    return regret


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and its standard error; the error of a single value is NaN, and missing values stay missing."""
    array = np.asarray(values, dtype=np.float64)
    if not len(array):
        return float("nan"), float("nan")
    error = float(array.std(ddof=1) / np.sqrt(len(array))) if len(array) > 1 else float("nan")
    return float(array.mean()), error


def _diagonal(matrix: Array) -> Array:
    return np.diagonal(matrix[1:])
