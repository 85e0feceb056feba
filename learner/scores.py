"""Counts of single frames, kept so that a model judges a frame once."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from learner.evaluation import predict
from learner.release_gate import GOLDEN, NEWEST, PAST, SetScores
from memory.samples import Sample
from stream.preprocessing import pad_to_multiple, prepare
from stream.scoring import Confusion

_BATCH = 4


class FrameScores:
    """What one fixed network makes of frames, by label id.

    Parameters
    ----------
    model : nn.Module
        In evaluation mode; its weights must not change.
    classes : int
        Mask values, the background included.
    size_multiple : int
        What its input sizes are multiples of.
    """

    def __init__(self, model: nn.Module, classes: int, size_multiple: int) -> None:
        self.model = model
        self.classes = classes
        self._multiple = size_multiple
        self._known: dict[str, Confusion] = {}

    def of(self, samples: Sequence[Sample]) -> list[Confusion]:
        """Return each frame's counts; only frames not seen before are judged. Blocking."""
        unknown = {s.label_id: s for s in samples if s.label_id not in self._known}
        for _, group in groupby(sorted(unknown.values(), key=lambda s: s.pixels.shape), lambda s: s.pixels.shape):
            alike = list(group)
            for start in range(0, len(alike), _BATCH):
                batch = alike[start : start + _BATCH]
                masks = predict(self.model, [s.pixels for s in batch], self._multiple)
                for sample, mask in zip(batch, masks, strict=True):
                    self.add(sample.label_id, Confusion.of(mask, sample.mask, self.classes))
        return [self._known[s.label_id] for s in samples]

    def add(self, label_id: str, counts: Confusion) -> None:
        """Take over counts that are known already, such as those of a published judgement."""
        self._known[label_id] = counts

    def keep(self, label_ids: Iterable[str]) -> None:
        """Forget all but these."""
        wanted = set(label_ids)
        self._known = {label_id: counts for label_id, counts in self._known.items() if label_id in wanted}

    def by_set(self, sets: Mapping[str, Sequence[Sample]]) -> SetScores:
        """Return the counts of each frame of evaluation sets, by domain."""
        result: dict[str, dict[str, list[Confusion]]] = {}
        for name, samples in sets.items():
            domains = result.setdefault(name, {})
            for sample, counts in zip(samples, self.of(samples), strict=True):
                domains.setdefault(sample.domain, []).append(counts)
        return result

    def dice(self, samples: Sequence[Sample]) -> float:
        """Return the pooled Dice of the defect pixels of frames, whatever their class."""
        return sum(self.of(samples), start=Confusion.empty(self.classes)).foreground_dice


def gate_sets(
    golden: Sequence[Sample], newest: Sequence[Sample], past: Sequence[Sample]
) -> dict[str, Sequence[Sample]]:
    """Name the three sets of the gate."""
    return {GOLDEN: golden, NEWEST: newest, PAST: past}


def frozen_copy(model: nn.Module, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
    """Load a version's weights into a network that nobody trains, in place; counters that no output needs stay."""
    model.load_state_dict({**model.state_dict(), **tensors}, strict=True)
    return model.eval().requires_grad_(requires_grad=False)


def prepared(samples: Sequence[Sample], count: int, multiple: int) -> list[NDArray[np.float32]]:
    """Return some frames as a network takes them: each (1, 1, H, W) float32."""
    return [pad_to_multiple(prepare(s.pixels)[None], multiple)[0][:, None] for s in samples[:count]]
