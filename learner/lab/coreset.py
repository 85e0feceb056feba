"""Coresets: what lies where among what is kept, and which of it is the most redundant."""

import copy
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from learner.embedding import FrozenEmbedder
from learner.lab.streams import Stream
from learner.strategies import Batch
from learner.strategies.features import FeatureTap, find_classifier

Points: TypeAlias = NDArray[np.float32]
Describe: TypeAlias = Callable[[Batch], Points]
"""Returns where the samples of a batch lie, (N, D)."""

_GRADIENT_SIZE = 64
"""Numbers that a gradient is projected to, which keeps angles roughly (Johnson & Lindenstrauss 1984)."""


class Coreset:
    """Places of samples by slot.

    Parameters
    ----------
    room : int
        Slots.
    """

    def __init__(self, room: int) -> None:
        self._points: Points | None = None
        self._room = room
        self._apart = np.full((room + 1, room + 1), np.inf, np.float32)

    def put(self, slot: int, point: Points) -> None:
        """Note where the sample of a slot lies."""
        if self._points is None:
            # At infinity, so that nothing is near a slot that is empty.
            self._points = np.full((self._room + 1, len(point)), np.inf, np.float32)
        self._points[slot] = point
        with np.errstate(invalid="ignore"):
            apart = np.square(self._points - point).sum(axis=1)
        apart[slot] = np.inf
        self._apart[slot] = self._apart[:, slot] = np.where(np.isnan(apart), np.inf, apart)

    def most_redundant(self, slots: Sequence[int], newcomer: Points) -> int | None:
        """Return which of some slots to give up for a newcomer, None if it is the newcomer itself.

        Of the two that are closest the one goes whose next neighbour is closer too.
        """
        self.put(self._room, newcomer)
        among = np.array([*slots, self._room])
        apart = self._apart[np.ix_(among, among)]
        first, second = divmod(int(apart.argmin()), len(among))
        if len(among) == 2:  # noqa: PLR2004 - they are as far from each other as from anything
            return int(among[0])
        next_of_first, next_of_second = (np.partition(apart[i], 1)[1] for i in (first, second))
        gone = int(among[first if next_of_first < next_of_second else second])
        return None if gone == self._room else gone

    def nearest(self, slots: Sequence[int]) -> int:
        """Return which of some slots is the most redundant among them."""
        *others, last = slots
        if not others:
            return last
        assert self._points is not None
        found = self.most_redundant(others, self._points[last])
        return last if found is None else found


def by_what_it_shows(model: nn.Module, stream: Stream) -> Describe:
    """Return what places masks as the learner's memory does, and classes by their images."""
    if not stream.masks:
        return lambda batch: batch.images.flatten(1).numpy()
    embed = FrozenEmbedder(copy.deepcopy(model.get_submodule("net.encoder")), seed=0)
    return lambda batch: np.stack(
        [embed.place(image, mask > 0) for image, mask in zip(batch.images, batch.targets, strict=True)]
    )


def by_gradient(model: nn.Module) -> Describe:
    """Return what places samples by the direction of the loss's gradient in the output layer's weights, as they are."""
    classifier = find_classifier(model)
    projection: list[Tensor] = []

    @torch.no_grad()
    def describe(batch: Batch) -> Points:
        with FeatureTap(classifier) as tap:
            logits = model(batch.images)
        features = tap.features.flatten(2) if tap.features.ndim > 2 else tap.features[..., None]  # noqa: PLR2004
        missed = logits.softmax(dim=1)
        missed.scatter_add_(1, batch.targets[:, None], -torch.ones_like(batch.targets, dtype=missed.dtype)[:, None])
        gradients = torch.einsum("nkp,ncp->nkc", missed.reshape(*logits.shape[:2], -1), features).flatten(1)
        if not projection:
            generator = torch.Generator().manual_seed(0)
            projection.append(torch.randn(gradients.shape[1], _GRADIENT_SIZE, generator=generator))
        return np.asarray(nn.functional.normalize(gradients @ projection[0]).numpy(), np.float32)

    return describe
