"""What the network shall say of replayed content, and which outputs compete."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from learner.strategies.batch import LossFunction
from learner.strategies.generative.config import Scenario
from learner.strategies.generative.contexts import Contexts

_OUT = -1e30
"""Logit of an output that does not compete; finite, so that its product with no probability is zero."""


def restrict(logits: Tensor, allowed: Tensor) -> Tensor:
    """Take outputs out of the competition: logits (N, K), allowed (K,) or (N, K) bool."""
    return logits.masked_fill(~allowed, _OUT)


def soft_loss(logits: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    """Return the cross entropy with soft targets, times the temperature squared: (N,).

    Parameters
    ----------
    logits, wanted : Tensor
        (N, K) or (N, K, H, W); of masks the mean over the pixels.
    temperature : float
        Both are divided by it.
    """
    probabilities = torch.softmax(wanted / temperature, dim=1)
    each = -(probabilities * torch.log_softmax(logits / temperature, dim=1)).sum(dim=1)
    return temperature**2 * (each if each.ndim == 1 else each.flatten(1).mean(dim=1))


@dataclass(frozen=True, slots=True)
class Targets:
    """Which outputs compete, and what replay is compared with.

    Attributes
    ----------
    scenario : str
        As configured; masks are always ``domain``.
    soft : bool
        Soft targets.
    temperature : float
        Of soft targets.
    own_head : bool
        In the task scenario: a replayed sample is of the domain that it was
        drawn for, instead of any past one.
    loss : LossFunction
        Of hard targets.
    """

    scenario: Scenario
    soft: bool
    temperature: float
    own_head: bool
    loss: LossFunction

    def new(self, logits: Tensor, targets: Tensor, contexts: Contexts, domain: int) -> Tensor:
        """Return the losses (N,) of new samples of a domain."""
        if self.scenario == "task":
            shown = {*contexts.shown(domain), *targets.tolist()}
            logits = restrict(logits, _mask(shown, logits))
        return self.loss(logits, targets)

    def teacher(self, logits: Tensor, contexts: Contexts, domains: Tensor) -> Tensor:
        """Restrict what the previous network says (N, K, ...) to what it had been shown."""
        if logits.ndim > 2:  # noqa: PLR2004 - masks
            return logits
        if self.scenario == "task":
            heads = torch.stack([_mask(contexts.shown(d), logits) for d in range(len(contexts.domains))])
            return restrict(logits, heads[domains.to(heads.device)])
        return restrict(logits, _mask(contexts.shown(), logits))

    def classes(self, teacher: Tensor) -> Tensor:
        """Return the probabilities (N, K) of the replayed classes, certain where targets are hard."""
        if self.soft:
            return torch.softmax(teacher / self.temperature, dim=1)
        return functional.one_hot(teacher.argmax(dim=1), teacher.shape[1]).to(teacher)

    def replayed(self, logits: Tensor, said: Tensor, contexts: Contexts, domains: Tensor) -> Tensor:
        """Return the losses (N,) of replayed samples against what the previous network said.

        Parameters
        ----------
        logits, said : Tensor
            (N, K, ...) of the network and of the previous one.
        contexts : Contexts
            What the previous one had been shown.
        domains : Tensor
            (N,) that the samples were drawn for.
        """
        if self.scenario != "task" or logits.ndim > 2:  # noqa: PLR2004 - masks
            return self._one(logits, self.teacher(said, contexts, domains))
        heads = [_mask(contexts.shown(d), logits) for d in range(len(contexts.domains))]
        if self.own_head:
            own = torch.stack(heads)[domains.to(logits.device)]
            return self._one(restrict(logits, own), restrict(said, own))
        return torch.stack([self._one(restrict(logits, h), restrict(said, h)) for h in heads if h.any()]).mean(dim=0)

    def _one(self, logits: Tensor, teacher: Tensor) -> Tensor:
        if self.soft:
            return soft_loss(logits, teacher, self.temperature)
        return self.loss(logits, teacher.argmax(dim=1))


def _mask(classes: Iterable[int], logits: Tensor) -> Tensor:
    mask = torch.zeros(logits.shape[1], dtype=torch.bool)
    mask[list(classes)] = True
    return mask.to(logits.device)
