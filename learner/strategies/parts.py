"""The kinds of parts that a strategy is composed of.

A rehearsal says how samples of past domains enter the loss. Two kinds of
penalties hold the network to what it knew: a distillation acts on its
outputs, an anchor on its parameters. A projection changes the gradient.
Every method of continual learning that the learner knows is a choice of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from learner.state import State
from learner.strategies.batch import Batch


class Part(Protocol):
    """What parts with a memory of their own share."""

    def end_domain(self, samples: Sequence[Batch]) -> None:
        """Consolidate what a domain taught, on samples of it; there may be none."""
        ...

    def state(self) -> State:
        """Return what must survive a restart."""
        ...

    def restore(self, state: State) -> None:
        """Take over what :meth:`state` returned."""
        ...


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the network made of images.

    Attributes
    ----------
    logits : Tensor
        (N, K, ...).
    features : Tensor or None
        (N, C, ...), what its last layer made them of; None if no part asked.
    """

    logits: Tensor
    features: Tensor | None = None


class Distillation(Part, Protocol):
    """A penalty on what the network answers to new samples."""

    @property
    def needs_features(self) -> bool:
        """Whether :attr:`Outputs.features` are needed."""
        ...

    @property
    def rate_factor(self) -> float:
        """What the optimiser's learning rate is multiplied by while the penalty holds."""
        ...

    def loss(self, images: Tensor, outputs: Outputs) -> Tensor | None:
        """Return a scalar that is added to the mean loss of the new samples; None if nothing is held yet."""
        ...


@dataclass(frozen=True, slots=True)
class Pull:
    """A penalty on the parameters: its value, a scalar, and its gradient (P,)."""

    value: Tensor
    gradient: Tensor


class Anchor(Part, Protocol):
    """A penalty on the parameters, which are given as one vector (P,)."""

    @property
    def follows_steps(self) -> bool:
        """Whether :meth:`after_step` is to be called."""
        ...

    def pull(self, parameters: Tensor) -> Pull | None:
        """Return the penalty where the parameters are; None if nothing is held yet."""
        ...

    def after_step(self, before: Tensor, after: Tensor, gradient: Tensor) -> None:
        """See the parameters before and after the optimiser's step, and the gradient of the loss without anchors."""
        ...


@dataclass(frozen=True, slots=True)
class Weights:
    """What each group of samples weighs in the loss; a group's own loss is the mean over its samples.

    Attributes
    ----------
    new : float
        Weight of the new samples, above zero.
    memory : mapping of str to float
        Weight of each past domain's samples.
    """

    new: float
    memory: Mapping[str, float]


class Rehearsal(Protocol):
    """How samples of past domains enter the loss."""

    def weights(self, new: int, memory: Mapping[str, int], domains: int) -> Weights:
        """Return the weight of each group, from the groups' numbers of samples and that of the domains so far."""
        ...

    def losses(self, past: Sequence[Batch], logits: Tensor, losses: Tensor) -> Tensor | None:
        """Return what is minimised of each past sample, (N,); None if that is its loss.

        Parameters
        ----------
        past : sequence of Batch
            The groups' samples.
        logits : Tensor
            (N, K, ...) that the network answers to all of them, one group
            after the other.
        losses : Tensor
            (N,) of these against the targets.
        """
        ...


@dataclass(frozen=True, slots=True)
class Projected:
    """A gradient after projection, and which constraints the gradient before it violated, by name."""

    gradient: Tensor
    violated: tuple[str, ...]


class Projection(Protocol):
    """How gradients of past domains constrain the step."""

    @property
    def together(self) -> bool:
        """Whether all past domains are one constraint, rather than one each."""
        ...

    def due(self, past: Sequence[str]) -> Sequence[str]:
        """Return whose samples must pass through the network for the next step."""
        ...

    def __call__(self, gradient: Tensor, rows: Tensor, names: Sequence[str], past: Sequence[str]) -> Projected:
        """Project a gradient.

        Parameters
        ----------
        gradient : Tensor
            (P,) float32.
        rows : Tensor
            (K, P) float32, the gradients of what passed; not to be kept, the
            next step overwrites them.
        names : sequence of str
            K names of the rows.
        past : sequence of str
            All names that constrain the step, those that did not pass included.
        """
        ...

    def state(self) -> State:
        """Return what must survive a restart."""
        ...

    def restore(self, state: State) -> None:
        """Take over what :meth:`state` returned."""
        ...


class Optimizer(Protocol):
    """What a strategy needs of an optimiser."""

    param_groups: list[dict[str, Any]]

    def step(self) -> object:
        """Update the parameters from their gradients; those without one stay."""
        ...
