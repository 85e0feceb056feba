"""Gradients of groups of samples, each in a row of one contiguous buffer."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def flatten(parameters: Sequence[nn.Parameter]) -> Tensor:
    """Return a copy of the parameters as one vector (P,)."""
    return torch.cat([parameter.detach().flatten() for parameter in parameters])


class GradientRows:
    """One flat float32 row of gradients for each group of samples.

    The parameters' ``grad`` are views into a row, so that the backward pass
    itself fills the matrix and nothing is copied: collecting gradients was
    most of the cost of projecting them. A frozen parameter, which requires no
    gradient, has zeros in every row and no ``grad``, so that no optimiser
    touches it.

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
        self._rows = torch.zeros(0, sum(self._sizes))
        self._views: list[list[Tensor]] = []

    @property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """The parameters, in the order of a row."""
        return self._parameters

    def reset(self, groups: int) -> Tensor:
        """Make room for the gradients of a number of groups, all zero; return them, (groups, P), a view."""
        return self.room(groups).zero_()

    def room(self, groups: int) -> Tensor:
        """As :meth:`reset`, with whatever the rows held before."""
        if len(self._rows) < groups:
            self._rows = torch.zeros(groups, sum(self._sizes), device=self._parameters[0].device)
            self._views = [self._split(row) for row in self._rows]
        return self._rows[:groups]

    def views(self, group: int) -> list[Tensor]:
        """Return the row of a group as one tensor for each parameter, of its shape."""
        return self._views[group]

    def collect_into(self, group: int) -> None:
        """Let the next backward passes add to the row of a group."""
        self._point_at(self._views[group])

    def install(self, gradient: Tensor) -> None:
        """Make a flat gradient (P,) that of the parameters."""
        # What was not changed is in the first row, and its views are there.
        there = len(self._rows) and gradient.data_ptr() == self._rows.data_ptr()
        self._point_at(self._views[0] if there else self._split(gradient))

    def _split(self, flat: Tensor) -> list[Tensor]:
        parts = torch.split(flat, self._sizes)
        return [part.view_as(parameter) for part, parameter in zip(parts, self._parameters, strict=True)]

    def _point_at(self, views: Sequence[Tensor]) -> None:
        for parameter, view in zip(self._parameters, views, strict=True):
            parameter.grad = view if parameter.requires_grad else None
