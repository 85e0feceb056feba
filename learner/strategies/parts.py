"""The three kinds of parts that a strategy is composed of.

A penalty adds a loss, a rehearsal says what replayed samples weigh in the
loss, a projection changes the gradient. Every method of continual learning
that the learner knows is a choice of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from learner.state import State
from learner.strategies.batch import Batch


class Penalty(Protocol):
    """A loss that holds the network to what it knew."""

    def loss(self, model: nn.Module, batch: Batch, logits: Tensor) -> Tensor:
        """Return a scalar that is added to the mean loss of the new samples, whose logits are given."""
        ...

    def after_step(self, model: nn.Module, gradient: Tensor) -> None:
        """See the step that the optimiser took, and the gradient (P,) of the loss without any penalty."""
        ...

    def end_domain(self, model: nn.Module, memory: Mapping[str, Batch]) -> None:
        """Consolidate what a domain taught."""
        ...

    def state(self) -> State:
        """Return what must survive a restart."""
        ...

    def restore(self, state: State) -> None:
        """Take over what :meth:`state` returned."""
        ...


@dataclass(frozen=True, slots=True)
class Weights:
    """What each group of samples weighs in the loss; a group's own loss is the mean over its samples.

    Attributes
    ----------
    new : float
        Weight of the new samples.
    memory : mapping of str to float
        Weight of each past domain's samples.
    """

    new: float
    memory: Mapping[str, float]


class Rehearsal(Protocol):
    """How samples of past domains enter the loss."""

    def weights(self, new: int, memory: Mapping[str, int]) -> Weights:
        """Return the weight of each group, from the groups' numbers of samples."""
        ...


@dataclass(frozen=True, slots=True)
class Projected:
    """A gradient after projection, and which constraints the gradient before it violated."""

    gradient: Tensor
    violated: tuple[int, ...]


class Projection(Protocol):
    """How gradients of past domains constrain the step."""

    def __call__(self, gradient: Tensor, rows: Tensor) -> Projected:
        """Project a gradient (P,) against those of K past domains (K, P), float32."""
        ...


class Optimizer(Protocol):
    """What a strategy needs of an optimiser."""

    def step(self) -> object:
        """Update the parameters from their gradients."""
        ...


NO_PENALTIES: Sequence[Penalty] = ()
