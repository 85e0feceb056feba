"""Losses that add up over samples."""

from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional


class LossConfig(BaseModel):
    """How a judged mask is compared with the true one.

    Attributes
    ----------
    defect_weight : float
        What a defect pixel weighs in the cross entropy, the background
        weighing 1: defects cover a few percent of a frame.
    dice_weight : float
        Weight of the soft Dice loss beside the cross entropy.
    smoothing : float
        Pixels added to both parts of the Dice ratio.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    defect_weight: Annotated[float, Field(gt=0)] = 4.0
    dice_weight: Annotated[float, Field(ge=0)] = 1.0
    smoothing: Annotated[float, Field(gt=0)] = 8.0


class SegmentationLoss:
    """Cross entropy plus soft Dice, for each sample on its own.

    The Dice loss of a sample is the mean of 1 - Dice over the defect classes
    that it shows, and over any defect against none. Because no statistic is
    shared between samples, gradients of groups add up to that of all.

    Parameters
    ----------
    config : LossConfig
        Weights.
    """

    def __init__(self, config: LossConfig) -> None:
        self._config = config

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the losses (N,) of logits (N, K, H, W) against int64 masks (N, H, W)."""
        logs = functional.log_softmax(logits, dim=1)
        weight = torch.full((logits.shape[1],), self._config.defect_weight, device=logits.device)
        weight[0] = 1.0
        entropy = functional.nll_loss(logs, targets, weight=weight, reduction="none").mean(dim=(1, 2))
        if not self._config.dice_weight:
            return entropy
        return entropy + self._config.dice_weight * self._dice(logs.exp(), targets)

    def _dice(self, probabilities: Tensor, targets: Tensor) -> Tensor:
        truth = functional.one_hot(targets, probabilities.shape[1]).permute(0, 3, 1, 2).to(probabilities.dtype)
        # "Any defect" takes the place of the background, as one more class.
        judged = torch.cat([1.0 - probabilities[:, :1], probabilities[:, 1:]], dim=1).flatten(2)
        true = torch.cat([1.0 - truth[:, :1], truth[:, 1:]], dim=1).flatten(2)
        s = self._config.smoothing
        size = true.sum(dim=2)
        loss = 1.0 - (2.0 * (judged * true).sum(dim=2) + s) / (judged.sum(dim=2) + size + s)
        shown = (size > 0).to(loss.dtype)
        shown[:, 0] = 1.0  # a sample without a defect still says that there is none
        return (loss * shown).sum(dim=1) / shown.sum(dim=1)


class ClassLoss:
    """Cross entropy for one label per sample: logits (N, K), int64 labels (N,)."""

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return one loss for each sample, (N,)."""
        return functional.cross_entropy(logits, targets, reduction="none")
