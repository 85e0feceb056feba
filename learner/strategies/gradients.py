"""Gradients of several groups of samples in one contiguous buffer."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class GradientRows:
    """One flat float32 row of gradients for each group of samples.

    The parameters' ``grad`` are views into a row, so that the backward pass
    itself fills the matrix and nothing is copied: collecting gradients was
    most of the cost of projecting them.

    Parameters
    ----------
    parameters : sequence of Parameter
        Those that the loss depends on, float32 on one device.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        if not parameters:
            msg = "there is no parameter to learn"
            raise ValueError(msg)
        self._parameters = tuple(parameters)
        self._sizes = [p.numel() for p in self._parameters]
        self._size = sum(self._sizes)
        self._rows = torch.zeros(0, self._size)

    def reset(self, groups: int) -> None:
        """Make room for the gradients of a number of groups, all zero."""
        if len(self._rows) < groups:
            self._rows = torch.zeros(groups, self._size, device=self._parameters[0].device)
        self._rows.zero_()

    def collect_into(self, group: int) -> None:
        """Let the next backward passes add to the row of a group."""
        self._point_at(self._rows[group])

    def rows(self, groups: int) -> Tensor:
        """Return the gradients of the first groups: (groups, P), a view."""
        return self._rows[:groups]

    def install(self, gradient: Tensor) -> None:
        """Make a flat gradient (P,) that of the parameters."""
        self._point_at(gradient)

    def _point_at(self, flat: Tensor) -> None:
        for parameter, part in zip(self._parameters, torch.split(flat, self._sizes), strict=True):
            parameter.grad = part.view_as(parameter)
