"""Elastic weight consolidation: parameters that past domains need are held where they were."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from learner.state import State
from learner.strategies.batch import Batch
from learner.strategies.fisher import DiagonalFisher, FisherKind
from learner.strategies.gradients import flatten
from learner.strategies.parts import Pull
from learner.strategies.quadratic import Quadratic


class EwcConfig(BaseModel):
    """Elastic weight consolidation, one term for each domain (Kirkpatrick et al. 2017).

    Attributes
    ----------
    weight : float
        The paper's lambda: the penalty is ``lambda/2 sum F (theta - theta*)^2``.
    fisher : str
        ``exact`` takes the expectation over the labels that the network
        expects, ``empirical`` the labels that the samples have.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["ewc"] = "ewc"
    weight: Annotated[float, Field(gt=0)] = 1.0
    fisher: FisherKind = "exact"


class OnlineEwcConfig(BaseModel):
    """Online elastic weight consolidation, one term in all (Schwarz et al. 2018).

    Attributes
    ----------
    weight, fisher
        As of :class:`EwcConfig`.
    decay : float
        The paper's gamma: the share of the past Fisher information that is
        kept when that of another domain is added.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["online_ewc"] = "online_ewc"
    weight: Annotated[float, Field(gt=0)] = 1.0
    decay: Annotated[float, Field(ge=0, le=1)] = 1.0
    fisher: FisherKind = "exact"


class EwcAnchor:
    """Holds the parameters by the Fisher information of past domains.

    Parameters
    ----------
    config : EwcConfig or OnlineEwcConfig
        Which of both, and how strongly.
    model, parameters
        As of :class:`~learner.strategies.fisher.DiagonalFisher`.
    """

    follows_steps = False

    def __init__(
        self, config: EwcConfig | OnlineEwcConfig, model: nn.Module, parameters: Sequence[nn.Parameter]
    ) -> None:
        self._config = config
        self._parameters = tuple(parameters)
        self._fisher = DiagonalFisher(model, parameters)
        self._past: Quadratic | None = None
        self._terms = 0

    def pull(self, parameters: Tensor) -> Pull | None:
        """Return ``weight / 2`` times the sum over past domains; None before the first ended."""
        return self._past.pull(parameters, 0.5 * self._config.weight) if self._past else None

    def after_step(self, before: Tensor, after: Tensor, gradient: Tensor) -> None:
        """See a step; nothing is learned from it."""

    def end_domain(self, samples: Sequence[Batch]) -> None:
        """Add the Fisher information on samples of a domain; without any, it leaves no term."""
        if not samples:
            return
        information = self._fisher(samples, self._config.fisher, seed=self._terms)
        here = flatten(self._parameters)
        if self._past is None:
            self._past = Quadratic(information, here)
        elif isinstance(self._config, OnlineEwcConfig):
            self._past = Quadratic(self._config.decay * self._past.importance + information, here)
        else:
            self._past.add(information, here)
        self._terms += 1

    def state(self) -> State:
        """Return the terms."""
        past = self._past.state() if self._past else State()
        return State(past.tensors, {**past.values, "terms": self._terms})

    def restore(self, state: State) -> None:
        """Take over what :meth:`state` returned."""
        self._past = Quadratic.of(state) if state.tensors else None
        self._terms = int(state.values["terms"])
