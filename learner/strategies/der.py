"""Dark experience replay: the network shall also answer what it answered when a sample was stored."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor
from torch.nn import functional

from learner.strategies.batch import Batch
from learner.strategies.parts import Weights


class DerConfig(BaseModel):
    """Dark experience replay, DER and DER++ (Buzzega et al. 2020).

    The loss of new samples, plus ``alpha`` times the squared difference from
    the stored logits (mean over all elements), plus ``beta`` times the loss
    against the labels. DER++ takes the last two on independent draws: the
    first half of each past domain's samples and the second; of an odd number
    the middle one serves for both. To draw twice, as its authors do, put one
    draw after the other. Past domains whose samples were stored without
    logits, under another strategy, are rehearsed by their labels alone.

    Attributes
    ----------
    alpha : float
        Weight of the stored logits.
    beta : float
        Weight of the labels; 0 is DER, for which all samples serve the logits.
        The paper searches both anew for each stream and stays below 1;
        ``docs/continual-learning.md`` shows what the defaults come to.
    only_right : bool
        Rehearse stored logits only as far as they were right: a sample whose
        answer was wrong when it was stored is rehearsed by its label, so that
        nothing holds the network to what it did not know yet. The paper's
        rehearses all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["der"] = "der"
    alpha: Annotated[float, Field(ge=0)] = 0.5
    beta: Annotated[float, Field(ge=0)] = 1.0
    only_right: bool = True

    @property
    def stores_logits(self) -> bool:
        """Whether samples are to be stored with what the network answers."""
        return self.alpha > 0

    @model_validator(mode="after")
    def _rehearses(self) -> Self:
        if not (self.alpha or self.beta):
            msg = "der rehearses nothing where alpha and beta are 0"
            raise ValueError(msg)
        if self.only_right and not self.beta:
            msg = "der without labels (beta 0) needs all logits (only_right false)"
            raise ValueError(msg)
        return self


class DerRehearsal:
    """Replayed samples are held to their stored logits, their labels, or both.

    Parameters
    ----------
    config : DerConfig
        Weights.
    """

    def __init__(self, config: DerConfig) -> None:
        self._config = config

    def weights(self, new: int, memory: Mapping[str, int], domains: int) -> Weights:  # noqa: ARG002 - the protocol's
        """Weigh the new samples fully, and each past domain by its number of samples."""
        past = sum(memory.values())
        return Weights(new=1.0, memory={name: count / past for name, count in memory.items()})

    def losses(self, past: Sequence[Batch], logits: Tensor, losses: Tensor) -> Tensor:
        """Return alpha and beta times the terms of each sample, so that a group's mean is the sum of the terms' means.

        Raises
        ------
        ValueError
            If stored logits are not of the network's shape.
        """
        config = self._config
        stored = _stored(past)
        if stored is None or not config.alpha:
            return config.beta * losses
        remembered = distances(logits, stored)
        if not config.beta:
            return config.alpha * remembered
        halves = [_first_half(len(group)) for group in past]
        labels_only = [group.logits is None for group in past]
        dark = np.concatenate([0 * half if bare else half for half, bare in zip(halves, labels_only, strict=True)])
        labelled = np.concatenate(
            [np.ones_like(half) if bare else half[::-1] for half, bare in zip(halves, labels_only, strict=True)]
        )
        by_logits, by_labels = (torch.from_numpy(weights).to(losses) for weights in (dark, labelled))
        if config.only_right:
            targets = torch.cat([group.targets for group in past])
            wrong = by_logits * (1.0 - rightness(stored, targets))
            by_logits, by_labels = by_logits - wrong, by_labels + wrong
        return config.alpha * by_logits * remembered + config.beta * by_labels * losses


def _stored(past: Sequence[Batch]) -> Tensor | None:
    """Return the logits of all groups, NaN for those that have none; None if no group has any."""
    known = next((group.logits for group in past if group.logits is not None), None)
    if known is None:
        return None
    return torch.cat(
        [known.new_full((len(g), *known.shape[1:]), math.nan) if g.logits is None else g.logits for g in past]
    )


def _first_half(count: int) -> NDArray[np.float32]:
    """Return for each sample its weight in the mean over the first half, times the number of samples."""
    half = (count + 1) // 2
    return np.repeat(np.array([count / half, 0.0], np.float32), [half, count - half])


def distances(logits: Tensor, stored: Tensor) -> Tensor:
    """Return the mean squared difference of each sample from its stored logits, (N,).

    Where the stored logits are coarser, the network's are averaged over the
    pixels that each of them stands for. A sample that was stored without
    logits (NaN) counts as 0.

    Raises
    ------
    ValueError
        If their shape does not fit.
    """
    if logits.shape != stored.shape:
        logits = _pool(logits, stored.shape)
    missing = stored.isnan()
    return torch.where(missing, 0.0, logits - stored).square().flatten(1).mean(dim=1)


def rightness(stored: Tensor, targets: Tensor) -> Tensor:
    """Return how right stored answers were, from 0 to 1, (N,).

    Of a class whether it is the most probable; of a mask the Dice of its
    defect pixels of the right class, 1 where there is none and none was seen.
    Without logits (NaN) nothing was right.

    Parameters
    ----------
    stored : Tensor
        (N, K) or (N, K, h, w) logits.
    targets : Tensor
        (N,) classes or (N, H, W) masks, H and W the same multiple of h and w.
    """
    known = ~stored.flatten(1).isnan().any(dim=1)
    answers = stored.argmax(dim=1)
    if targets.ndim == 1:
        return ((answers == targets) & known).to(stored.dtype)
    stride = targets.shape[-1] // stored.shape[-1]
    shown = targets[:, stride // 2 :: stride, stride // 2 :: stride]
    found, there = ((mask > 0).flatten(1).sum(dim=1) for mask in (answers, shown))
    both = ((answers == shown) & (shown > 0)).flatten(1).sum(dim=1)
    dice = torch.where(found + there == 0, 1.0, 2 * both / (found + there).clamp(min=1))
    return dice.to(stored.dtype) * known


def _pool(logits: Tensor, shape: torch.Size) -> Tensor:
    same_outside = logits.ndim == len(shape) > 2 and logits.shape[:2] == shape[:2]  # noqa: PLR2004 - samples, classes
    factors = {a // b for a, b in zip(logits.shape[2:], shape[2:], strict=False) if b and not a % b}
    whole = same_outside and all(b and not a % b for a, b in zip(logits.shape[2:], shape[2:], strict=True))
    if not whole or len(factors) != 1:
        msg = f"stored logits {tuple(shape)} are not those of the network, {tuple(logits.shape)}, at a whole fraction"
        raise ValueError(msg)
    return functional.avg_pool2d(logits, factors.pop())
