"""The gradients of several groups of samples from one pass over all of them.

The gradient of a layer's weights is a product of what the layer was given and
of what comes back to it, summed over samples. One forward and one backward
pass over all samples make both; only the last sum is taken for each group on
its own. It costs what the gradient of all samples together costs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from learner.strategies.gradients import GradientRows


class UngroupableError(Exception):
    """An operation on parameters whose gradients cannot be taken for each group."""


class _Sink:
    """Where the gradients of one layer's parameters go."""

    def __init__(self, rows: GradientRows, counts: Sequence[int], places: Sequence[int | None]) -> None:
        self._rows = rows
        self._counts = counts
        self._places = places

    def wants(self, which: int) -> bool:
        """Whether a parameter of the layer is there, and learned."""
        place = self._places[which]
        return place is not None and self._rows.parameters[place].requires_grad

    def groups(self) -> Iterator[tuple[slice, Callable[[int], Tensor]]]:
        """Yield the samples of each group, and what returns the place for the gradient of a parameter."""
        start = 0
        for group, count in enumerate(self._counts):
            views = self._rows.views(group)
            yield slice(start, start + count), lambda which, views=views: views[self._places[which]]  # type: ignore[misc]
            start += count


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, sink: _Sink) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        ctx.sink = sink
        return functional.linear(inputs, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        inputs, weight = ctx.saved_tensors
        for samples, place in ctx.sink.groups():
            flat = grad[samples].flatten(0, -2)
            if ctx.sink.wants(0):
                place(0).addmm_(flat.T, inputs[samples].flatten(0, -2))
            if ctx.sink.wants(1):
                place(1).add_(flat.sum(0))
        return (grad @ weight if ctx.needs_input_grad[0] else None), None, None, None


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, how: Sequence[Any], sink: _Sink) -> Any:
        ctx.save_for_backward(inputs, weight)
        ctx.sink = sink
        ctx.how = how
        return torch.conv2d(inputs, weight, bias, *how)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        inputs, weight = ctx.saved_tensors
        stride, padding, dilation, channels = ctx.how

        def back(at: slice, wanted: tuple[bool, bool, bool]) -> tuple[Tensor, Tensor, Tensor]:
            parts: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
                grad[at], inputs[at], weight, [len(weight)], stride, padding, dilation, False, (0, 0), channels, wanted
            )
            return parts

        wanted = (False, ctx.sink.wants(0), ctx.sink.wants(1))
        if any(wanted):
            for samples, place in ctx.sink.groups():
                _, of_weight, of_bias = back(samples, wanted)
                if wanted[1]:
                    place(0).add_(of_weight)
                if wanted[2]:
                    place(1).add_(of_bias)
        of_inputs = back(slice(None), (True, False, False))[0] if ctx.needs_input_grad[0] else None
        return of_inputs, None, None, None, None


class _Norm(torch.autograd.Function):
    """Batch normalisation by fixed statistics, over any number of dimensions."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, eps: float, sink: _Sink
    ) -> Tensor:
        inverse = torch.rsqrt(var + eps)
        ctx.save_for_backward(inputs, mean, inverse, weight)
        ctx.sink = sink
        return functional.batch_norm(inputs, mean, var, weight, bias, training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        inputs, mean, inverse, weight = ctx.saved_tensors
        sums = grad.flatten(2).sum(2) if grad.ndim > 2 else grad  # noqa: PLR2004 - pixels follow
        products = (grad * inputs).flatten(2).sum(2) if grad.ndim > 2 else grad * inputs  # noqa: PLR2004
        products = (products - sums * mean) * inverse
        for samples, place in ctx.sink.groups():
            if ctx.sink.wants(0):
                place(0).add_(products[samples].sum(0))
            if ctx.sink.wants(1):
                place(1).add_(sums[samples].sum(0))
        scale = (weight * inverse).view(-1, *[1] * (grad.ndim - 2))
        return grad * scale, None, None, None, None, None, None


class GroupedGradients(TorchFunctionMode):
    """While it is entered, a forward pass whose backward pass adds to one row for each group.

    Parameters
    ----------
    rows : GradientRows
        At least as many rows, reset, as there are groups.
    counts : sequence of int
        Samples of each group, one group after the other.
    """

    def __init__(self, rows: GradientRows, counts: Sequence[int]) -> None:
        super().__init__()
        self._rows = rows
        self._counts = counts
        self._places = {id(parameter): place for place, parameter in enumerate(rows.parameters)}

    def __torch_function__(
        self, function: Callable[..., Any], _: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Run an operation, in its grouped form where it has parameters."""
        kwargs = kwargs or {}
        if not any(id(value) in self._places for value in (*args, *kwargs.values())):
            return function(*args, **kwargs)
        if function is functional.linear:
            return self._linear(*args, **kwargs)
        if function is torch.conv2d:
            return self._convolution(*args, **kwargs)
        if function is functional.batch_norm:
            return self._norm(*args, **kwargs)
        if getattr(function, "__name__", "") == "__get__":  # a look at a property, such as the type
            return function(*args, **kwargs)
        msg = f"{getattr(function, '__name__', function)} has parameters"
        raise UngroupableError(msg)

    def _sink(self, *parameters: Tensor | None) -> _Sink:
        """Return where the gradients of a layer's parameters go."""
        return _Sink(self._rows, self._counts, [self._places.get(id(parameter)) for parameter in parameters])

    def _linear(self, inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
        return _Linear.apply(inputs, weight, bias, self._sink(weight, bias))  # type: ignore[no-untyped-call]

    def _convolution(
        self,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        if isinstance(padding, str):
            msg = f"a convolution is padded by {padding!r}"
            raise UngroupableError(msg)
        how = (*map(_pair, (stride, padding, dilation)), groups)
        return _Convolution.apply(inputs, weight, bias, how, self._sink(weight, bias))  # type: ignore[no-untyped-call]

    def _norm(
        self,
        inputs: Tensor,
        mean: Tensor | None,
        var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,  # noqa: ARG002 - of statistics that stay
        eps: float = 1e-5,
    ) -> Any:
        if training or mean is None or weight is None or bias is None:
            msg = "batch statistics mix the groups"
            raise UngroupableError(msg)
        return _Norm.apply(inputs, mean, var, weight, bias, eps, self._sink(weight, bias))  # type: ignore[no-untyped-call]


def _pair(value: int | Sequence[int]) -> Sequence[int]:
    return (value, value) if isinstance(value, int) else tuple(value)


