"""The gradients of several groups of samples from one pass over all of them.

The gradient of a layer's weights is a product of what the layer was given and
of what comes back to it, summed over samples. One forward and one backward
pass over all samples make both; only the last sum is taken for each group on
its own. It costs what the gradient of all samples together costs.
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


class _Sink:
    """Where the gradients of one layer's parameters go.

    Parameters
    ----------
    rows : GradientRows
        Filled.
    counts : sequence of int
        Samples of each group.
    places : sequence of int or None
        Which of the learned parameters those of the layer are.
    written : set of int
        Parameters whose gradients are there already: a layer that is used
        again adds to them. Shared by all layers of a pass.
    """

    def __init__(
        self, rows: GradientRows, counts: Sequence[int], places: Sequence[int | None], written: set[int]
    ) -> None:
        self._rows = rows
        self._counts = counts
        self._places = places
        self._written = written

    def groups(self) -> Iterator[tuple[int, slice]]:
        """Yield each group with its samples."""
        start = 0
        for group, count in enumerate(self._counts):
            yield group, slice(start, start + count)
            start += count

    def put(self, which: int, make: Callable[[slice], Tensor]) -> None:
        """Make the gradient of a parameter for each group."""
        self.put_into(which, lambda samples, view: view.copy_(make(samples)), lambda s, view: view.add_(make(s)))

    def put_into(
        self, which: int, first: Callable[[slice, Tensor], Tensor], again: Callable[[slice, Tensor], Tensor]
    ) -> None:
        """As :meth:`put`, by writing into the place, or adding to it where the layer is used again."""
        place = self._places[which]
        if place is None or not self._rows.parameters[place].requires_grad:
            return
        write = again if place in self._written else first
        self._written.add(place)
        for group, samples in self.groups():
            write(samples, self._rows.views(group)[place])


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

        def sides(samples: slice) -> tuple[Tensor, Tensor]:
            return grad[samples].flatten(0, -2).T, inputs[samples].flatten(0, -2)

        ctx.sink.put_into(0, lambda s, view: torch.mm(*sides(s), out=view), lambda s, view: view.addmm_(*sides(s)))
        ctx.sink.put(1, lambda samples: grad[samples].flatten(0, -2).sum(0))
        return (grad @ weight if ctx.needs_input_grad[0] else None), None, None, None


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917 - autograd passes them by place
        ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, how: Sequence[Any], sink: _Sink
    ) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        ctx.sink = sink
        ctx.how = how
        return torch.conv2d(inputs, weight, bias, *how)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        inputs, weight = ctx.saved_tensors
        stride, padding, dilation, channels = ctx.how

        def back(at: slice, wanted: tuple[bool, bool, bool]) -> Tensor:
            transposed, output_padding = False, (0, 0)
            how = (stride, padding, dilation, transposed, output_padding, channels)
            parts = torch.ops.aten.convolution_backward(grad[at], inputs[at], weight, None, *how, wanted)
            found: Tensor = parts[wanted.index(True)]
            return found

        ctx.sink.put(0, lambda samples: back(samples, (False, True, False)))
        ctx.sink.put(1, lambda samples: grad[samples].sum((0, 2, 3)))
        of_inputs = back(slice(None), (True, False, False)) if ctx.needs_input_grad[0] else None
        return of_inputs, None, None, None, None


class _Norm(torch.autograd.Function):
    """Batch normalisation by fixed statistics, over any number of dimensions."""

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd passes them by place
        ctx: Any,
        inputs: Tensor,
        statistics: tuple[Tensor, Tensor],
        weight: Tensor,
        bias: Tensor,
        eps: float,
        sink: _Sink,
    ) -> Tensor:
        mean, var = statistics
        ctx.save_for_backward(inputs, mean, torch.rsqrt(var + eps), weight)
        ctx.sink = sink
        return functional.batch_norm(inputs, mean, var, weight, bias, training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        inputs, mean, inverse, weight = ctx.saved_tensors
        sums, products = _over_pixels(grad), _over_pixels(grad * inputs)
        products = (products - sums * mean) * inverse
        ctx.sink.put(0, lambda samples: products[samples].sum(0))
        ctx.sink.put(1, lambda samples: sums[samples].sum(0))
        scale = (weight * inverse).view(-1, *[1] * (grad.ndim - 2))
        return grad * scale, None, None, None, None, None


def _over_pixels(values: Tensor) -> Tensor:
    """Sum over all but samples and channels."""
    return values.flatten(2).sum(2) if values.ndim > 2 else values  # noqa: PLR2004 - samples, channels


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

    def _sink(self, *parameters: Tensor | None) -> _Sink:
        """Return where the gradients of a layer's parameters go."""
        places = [self._places.get(id(parameter)) for parameter in parameters]
        return _Sink(self._rows, self._counts, places, self._written)

    def _linear(self, inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
        return _Linear.apply(inputs, weight, bias, self._sink(weight, bias))

    def _convolution(  # noqa: PLR0917 - the function's
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
        return _Convolution.apply(inputs, weight, bias, how, self._sink(weight, bias))

    def _norm(  # noqa: PLR0917 - the function's
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
        if training or mean is None or var is None or weight is None or bias is None:
            msg = "batch statistics mix the groups"
            raise UngroupableError(msg)
        return _Norm.apply(inputs, (mean, var), weight, bias, eps, self._sink(weight, bias))


def _pair(value: int | Sequence[int]) -> Sequence[int]:
    return (value, value) if isinstance(value, int) else tuple(value)
