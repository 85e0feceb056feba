"""Synaptic intelligence: parameters are held by how much their way lowered the loss."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from learner.state import State
from learner.strategies.batch import Batch
from learner.strategies.gradients import flatten
from learner.strategies.parts import Pull
from learner.strategies.quadratic import Quadratic


class SiConfig(BaseModel):
    """Synaptic intelligence (Zenke, Poole & Ganguli 2017, equations 3 to 5).

    Attributes
    ----------
    weight : float
        The paper's c: the penalty is ``c sum Omega (theta - theta*)^2``.
    damping : float
        The paper's xi, added to the squared way of a parameter.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["si"] = "si"
    weight: Annotated[float, Field(gt=0)] = 0.1
    damping: Annotated[float, Field(gt=0)] = 0.1


class SiAnchor:
    """Follows the parameters' path and adds up what each of them did for the loss.

    The gradient is that of the loss without anchors, the step the one that
    the optimiser really took, whatever its momentum, its rate or a projection
    made of the gradient.

    Parameters
    ----------
    config : SiConfig
        How strongly.
    parameters : sequence of Parameter
        Those that are learned.
    """

    follows_steps = True

    def __init__(self, config: SiConfig, parameters: Sequence[nn.Parameter]) -> None:
        self._config = config
        self._parameters = tuple(parameters)
        size = sum(p.numel() for p in parameters)
        self._path = torch.zeros(size, device=self._parameters[0].device)
        self._start: Tensor | None = None
        self._past: Quadratic | None = None

    def pull(self, parameters: Tensor) -> Pull | None:
        """Return the penalty; None before the first domain ended."""
        return self._past.pull(parameters, self._config.weight) if self._past else None

    def after_step(self, before: Tensor, after: Tensor, gradient: Tensor) -> None:
        """Add what the step did for the loss: minus the gradient times the way (equation 3)."""
        if self._start is None:
            self._start = before
        self._path.addcmul_(gradient, after - before, value=-1.0)

    def end_domain(self, samples: Sequence[Batch]) -> None:  # noqa: ARG002 - the protocol's
        """Turn the path into importance (equation 5); the next path begins here."""
        here = flatten(self._parameters)
        way = here - (here if self._start is None else self._start)
        importance = self._path / (way.square() + self._config.damping)
        if self._past is not None:
            importance += self._past.importance
        self._past = Quadratic(importance.clamp_(min=0.0), here)
        self._path.zero_()
        self._start = None

    def state(self) -> State:
        """Return the path so far and the importance of past ones."""
        past = self._past.state() if self._past else State()
        start = {} if self._start is None else {"start": self._start}
        return State({**past.tensors, **start, "path": self._path}, past.values)

    def restore(self, state: State) -> None:
        """Take over what :meth:`state` returned."""
        self._past = Quadratic.of(state) if "importance" in state.tensors else None
        self._start = state.tensors["start"].clone() if "start" in state.tensors else None
        self._path = state.tensors["path"].clone()
