"""Weights between weights: a running average, which passes over the dips of what learns, and a part of the way."""

import copy

import torch
from torch import nn

_WARMUP = 10


class RunningAverage:
    """An exponential moving average of a network's parameters, with the statistics that it has now.

    The share that it keeps at step n is at most ``(1 + n) / (10 + n)``, so
    that it soon forgets the weights that it began with.

    Parameters
    ----------
    live : nn.Module
        The network that learns.
    keep : float
        Share of the average that a step keeps, below 1.
    """

    def __init__(self, live: nn.Module, keep: float) -> None:
        self.model = copy.deepcopy(live).requires_grad_(requires_grad=False)
        self._live = live
        self._keep = keep
        self._steps = 0

    def follow(self) -> None:
        """Take a step that was made into the average."""
        follow(self.model, self._live, min(self._keep, (1 + self._steps) / (_WARMUP + self._steps)))
        self._steps += 1


@torch.no_grad()
def follow(average: nn.Module, live: nn.Module, keep: float) -> None:
    """Move an average, which keeps a share of itself, towards live weights; statistics are taken as they are."""
    for weights, moved in zip(average.parameters(), live.parameters(), strict=True):
        weights.lerp_(moved, 1.0 - keep)
    for statistic, current in zip(average.buffers(), live.buffers(), strict=True):
        statistic.copy_(current)


@torch.no_grad()
def between(first: nn.Module, second: nn.Module, share: float) -> nn.Module:
    """Return a network whose weights lie at a share of the way from one to another (Wortsman et al. 2022)."""
    found = copy.deepcopy(second)
    for weights, other in zip(found.parameters(), first.parameters(), strict=True):
        weights.lerp_(other, 1.0 - share)
    return found
