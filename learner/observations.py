"""What is known of each inspector's labels: one value for each, by weld, of the newest welds."""

from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Means: TypeAlias = NDArray[np.float64]


class Observations:
    """Values of labels by domain, inspector and weld.

    Frames of one weld resemble each other, so a weld counts as one
    observation: the mean over its labels. A label that is read again
    replaces what was known of it.

    Parameters
    ----------
    window_welds : int
        Newest welds of each inspector and domain that are kept.
    """

    def __init__(self, window_welds: int) -> None:
        self._window = window_welds
        self._welds: defaultdict[str, dict[str, OrderedDict[str, dict[str, float]]]] = defaultdict(dict)

    def add(self, inspector_id: str, domain: str, weld_id: str, label_id: str, value: float) -> None:
        """Note the value of a label."""
        welds = self._welds[domain].setdefault(inspector_id, OrderedDict())
        welds.setdefault(weld_id, {})[label_id] = value
        while len(welds) > self._window:
            welds.popitem(last=False)

    def compare(self, inspector_id: str, domain: str) -> tuple[Means, Means]:
        """Return the means of the welds of an inspector, and of those of all others: (welds,) each."""
        inspectors = self._welds.get(domain, {})
        own = _means(inspectors.get(inspector_id, {}))
        others = [_means(welds) for name, welds in inspectors.items() if name != inspector_id]
        return own, np.concatenate([np.empty(0), *others])

    def forget(self, inspector_id: str) -> None:
        """Begin anew with an inspector."""
        for inspectors in self._welds.values():
            inspectors.pop(inspector_id, None)

    def state(self) -> dict[str, Any]:
        """Return all of it, for a checkpoint."""
        return {
            domain: {name: {weld: dict(labels) for weld, labels in welds.items()} for name, welds in inspectors.items()}
            for domain, inspectors in self._welds.items()
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state` returned."""
        self._welds.clear()
        for domain, inspectors in state.items():
            for name, welds in inspectors.items():
                self._welds[domain][name] = OrderedDict((weld, dict(labels)) for weld, labels in welds.items())


def _means(welds: Mapping[str, Mapping[str, float]]) -> Means:
    return np.array([np.mean(list(labels.values())) for labels in welds.values()], dtype=np.float64)
