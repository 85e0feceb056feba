"""Inspectors who label what arrives, some of it wrongly, and who is heard."""

from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from learner.agreement import AgreementWatch
from learner.lab.judging import judged_classes
from learner.lab.results import Labels
from learner.lab.settings import PanelConfig
from learner.lab.streams import Domain, Stream
from learner.settings import InspectorSettings
from learner.strategies import Batch
from stream.scoring import Confusion

Owners: TypeAlias = NDArray[np.int64]
"""Number of the inspector of each sample, (N,)."""

_SMALLEST, _LARGEST = 1 / 16, 1 / 4
"""Sides of a flaw that is none, in sides of the frame."""


class Panel:
    """Inspectors of one stream.

    A wrong label of a class is any other class of the domain; a wrong mask
    shows nothing where there are defects, and a box where there are none.

    Parameters
    ----------
    config : PanelConfig
        How many there are, how they err, and whether they are compared.
    stream : Stream
        What they label.
    rng : numpy.random.Generator
        Who labels what, and how it is wrong.
    """

    def __init__(self, config: PanelConfig, stream: Stream, rng: np.random.Generator) -> None:
        self._config = config
        self._stream = stream
        self._rng = rng
        self._watch = AgreementWatch(InspectorSettings())
        self._distrusted: set[int] = set()
        self._given = self._wrong_ones = self._set_aside = 0

    @property
    def labels(self) -> Labels:
        """What became of them so far."""
        return Labels(given=self._given, wrong=self._wrong_ones, set_aside=self._set_aside)

    def label(self, batch: Batch, domain: Domain, serving: nn.Module | None) -> Batch | None:
        """Return what is to be learned of samples that arrive with the truth; None if nothing.

        Parameters
        ----------
        batch : Batch
            With true targets, which are left as they are.
        domain : Domain
            Where they are from.
        serving : nn.Module or None
            What judged them before they were labelled.
        """
        owners = self._rng.integers(self._config.inspectors, size=len(batch))
        wrong = self._wrong(owners)
        targets = batch.targets.clone()
        for i in np.flatnonzero(wrong):
            targets[i] = self._spoiled(targets[i], domain)
        given = Batch(batch.images, targets)
        if self._config.compared and serving is not None:
            self._compare(given, owners, domain, serving)
        heard = np.array([owner not in self._distrusted for owner in owners])
        self._given += len(batch)
        self._wrong_ones += int(wrong.sum())
        self._set_aside += int((~heard).sum())
        if not heard.any():
            return None
        at = torch.from_numpy(np.flatnonzero(heard))
        return Batch(given.images[at], given.targets[at])

    def _wrong(self, owners: Owners) -> NDArray[np.bool_]:
        if self._config.errors == "one_inspector":
            return np.equal(owners, 0)
        by_chance: NDArray[np.bool_] = self._rng.random(len(owners)) < self._config.share
        return by_chance

    def _spoiled(self, target: Tensor, domain: Domain) -> Tensor:
        if not self._stream.masks:
            others = [value for value in domain.classes if value != int(target)]
            return torch.tensor(others[int(self._rng.integers(len(others)))])
        if target.any():
            return torch.zeros_like(target)
        spoiled, side = target.clone(), len(target)
        rows, columns = (int(self._rng.uniform(_SMALLEST, _LARGEST) * side) for _ in range(2))
        top, left = (int(self._rng.integers(side - length)) for length in (rows, columns))
        spoiled[top : top + rows, left : left + columns] = int(self._rng.integers(1, len(self._stream.classes)))
        return spoiled

    @torch.inference_mode()
    def _compare(self, given: Batch, owners: Owners, domain: Domain, serving: nn.Module) -> None:
        """Compare each label with what was served; who stands against everybody is heard no more."""
        judged = judged_classes(serving(given.images), self._stream, domain)
        for i, owner in enumerate(owners.tolist()):
            if self._stream.masks:
                served, labelled = (m[i].to(torch.uint8).numpy() for m in (judged, given.targets))
                agreement = Confusion.of(served, labelled, len(self._stream.classes)).foreground_dice
            else:
                agreement = float(judged[i] == given.targets[i])
            # Frames here resemble each other no more than welds do: each stands for itself.
            label = f"{self._given + i}"
            if self._watch.add(str(owner), domain.name, label, label, agreement) is not None:
                self._distrusted.add(owner)
                self._watch.forget(str(owner))
