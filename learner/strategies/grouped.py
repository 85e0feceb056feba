"""The gradients of several groups of samples from one pass over all of them.

The gradient of a linear layer's weights is a product of what the layer was
given and of what comes back to it, summed over samples. One forward and one
backward pass over all samples make both; only the last sum is taken for each
group on its own. For small networks, where calls cost more than arithmetic, this is
faster than a pass for each group, and than mapping (torch.func.vmap) or
batching (is_grads_batched) the backward pass over groups. For a U-Net one pass
over all is slower than a pass for each group, so convolutions are left alone.
benchmarks/step_times.py compares.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from learner.strategies.gradients import GradientRows


class UngroupableError(Exception):
    """An operation on parameters whose gradients cannot be taken for each group."""


class GroupedGradients(TorchFunctionMode):
    """While it is entered, a forward pass whose backward pass fills one row for each group.

    Parameters
    ----------
    rows : GradientRows
        At least as many rows as there are groups; what they held is overwritten.
    counts : sequence of int
        Samples of each group, one group after the other.
    """

    def __init__(self, rows: GradientRows, counts: Sequence[int]) -> None:
        super().__init__()
        self._rows = rows
        self._counts = counts
        self._places = {id(parameter): place for place, parameter in enumerate(rows.parameters)}
        self._written: set[int] = set()

    def __torch_function__(
        self, function: Callable[..., Any], _: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Run an operation, in its grouped form where it has parameters."""
        kwargs = kwargs or {}
        if function is functional.linear:
            return self._linear(*args, **kwargs)
        used = any(id(value) in self._places for value in (*args, *kwargs.values()))
        if used and getattr(function, "__name__", "") != "__get__":  # a look at a property, such as the type, is none
            msg = f"{getattr(function, '__name__', function)} has parameters"
            raise UngroupableError(msg)
        return function(*args, **kwargs)

    def complete(self) -> None:
        """After the backward pass: parameters that took no part have a gradient of zero.

        Raises
        ------
        UngroupableError
            If a parameter was used where its groups could not be told apart.
        """
        if any(parameter.grad is not None for parameter in self._rows.parameters):
            msg = "a parameter was used out of sight"
            raise UngroupableError(msg)
        for place in set(self._places.values()) - self._written:
            for group in range(len(self._counts)):
                self._rows.views(group)[place].zero_()

    def _linear(self, inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
        if len(inputs) != sum(self._counts):
            msg = "a layer is not given one entry for each sample"
            raise UngroupableError(msg)
        return _Linear.apply(inputs, weight, bias, self)

    def write(
        self,
        parameter: Tensor | None,
        first: Callable[[slice, Tensor], object],
        again: Callable[[slice, Tensor], object],
    ) -> None:
        """Write a parameter's gradient for each group; where the parameter was used before, add to it.

        Parameters
        ----------
        parameter : Tensor or None
            Left alone where there is none, and where it is not learned.
        first, again : callable
            Given the samples of a group and the place, write or add.
        """
        place = self._places.get(id(parameter))
        if place is None or parameter is None or not parameter.requires_grad:
            return
        write = again if place in self._written else first
        self._written.add(place)
        for group, samples in self._groups():
            write(samples, self._rows.views(group)[place])

    def _groups(self) -> Iterator[tuple[int, slice]]:
        start = 0
        for group, count in enumerate(self._counts):
            yield group, slice(start, start + count)
            start += count


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, groups: GroupedGradients) -> Tensor:
        # Parameters are kept as they are, and not by save_for_backward, which gives back others of the same values.
        ctx.save_for_backward(inputs)
        ctx.weight, ctx.bias, ctx.groups = weight, bias, groups
        outputs: Tensor = functional.linear(inputs, weight, bias)
        return outputs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        inputs: Tensor = ctx.saved_tensors[0]

        def back(samples: slice) -> Tensor:
            return grad[samples].flatten(0, -2)

        def given(samples: slice) -> Tensor:
            return inputs[samples].flatten(0, -2)

        ctx.groups.write(
            ctx.weight,
            lambda samples, place: torch.mm(back(samples).T, given(samples), out=place),
            lambda samples, place: place.addmm_(back(samples).T, given(samples)),
        )
        ctx.groups.write(
            ctx.bias,
            lambda samples, place: torch.sum(back(samples), 0, out=place),
            lambda samples, place: place.add_(back(samples).sum(0)),
        )
        return (grad @ ctx.weight if ctx.needs_input_grad[0] else None), None, None, None
