"""Learning without forgetting: on new samples the network shall answer what it answered before."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from learner.state import State
from learner.strategies.batch import Batch
from learner.strategies.parts import Outputs
from learner.strategies.teacher import Teacher


class LwfConfig(BaseModel):
    """Learning without forgetting (Li & Hoiem 2016).

    Attributes
    ----------
    weight : float
        Of the distillation beside the loss.
    temperature : float
        What the logits of both networks are divided by; the loss is
        multiplied by its square, which keeps the size of its gradient.
    weighting : str
        ``fixed``, or ``domains``: the weight grows with the number of past
        domains, so that the loss and T - 1 distillations have the shares 1/T
        and 1 - 1/T (van de Ven et al. 2020).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["lwf"] = "lwf"
    weight: Annotated[float, Field(gt=0)] = 1.0
    temperature: Annotated[float, Field(gt=0)] = 2.0
    weighting: Literal["fixed", "domains"] = "fixed"


def distill(logits: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """Return how far softened answers are from those taught, one for each sample.

    The Kullback-Leibler divergence times the squared temperature; over dense
    outputs, the mean over pixels.

    Parameters
    ----------
    logits, taught : Tensor
        (N, K, ...).
    temperature : float
        What both are divided by.
    """
    ours = torch.log_softmax(logits / temperature, dim=1)
    theirs = torch.log_softmax(taught / temperature, dim=1)
    divergence = (theirs.exp() * (theirs - ours)).sum(dim=1)
    return temperature**2 * divergence.flatten(1).mean(dim=1) if divergence.ndim > 1 else temperature**2 * divergence


class LwfDistillation:
    """Holds the answers to those of the network at the end of the last domain.

    Parameters
    ----------
    config : LwfConfig
        How strongly.
    model : nn.Module
        Copied when a domain ends.
    """

    needs_features = False
    rate_factor = 1.0

    def __init__(self, config: LwfConfig, model: nn.Module) -> None:
        self._config = config
        self._teacher = Teacher(model)
        self._domains = 0

    def loss(self, images: Tensor, outputs: Outputs) -> Tensor | None:
        """Return the weighted mean over the samples; None before the first domain ended."""
        if not self._teacher.taken:
            return None
        weight = self._config.weight * (1 if self._config.weighting == "fixed" else self._domains)
        return weight * distill(outputs.logits, self._teacher.logits(images), self._config.temperature).mean()

    def end_domain(self, samples: Sequence[Batch]) -> None:  # noqa: ARG002 - the protocol's
        """Take the network as it is as the one to answer like."""
        self._teacher.take()
        self._domains += 1

    def state(self) -> State:
        """Return the network that is held to."""
        return State(self._teacher.state().tensors, {"domains": self._domains})

    def restore(self, state: State) -> None:
        """Take over what :meth:`state` returned."""
        self._teacher.restore(state)
        self._domains = int(state.values["domains"])
