"""What is replayed from: network and generator as they were when the last domain ended."""

import copy
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from learner.state import State
from learner.strategies.generative.autoencoder import Content
from learner.strategies.generative.generator import Generator
from learner.strategies.generative.networks import Split, split
from learner.strategies.generative.targets import Targets


@dataclass(frozen=True, slots=True)
class Replayed:
    """Content that was generated, with what the previous network said of it.

    Attributes
    ----------
    content : tuple of Tensor
        (N, ...) each.
    domains : Tensor
        (N,) that it was drawn for.
    classes : Tensor
        (N, C) probabilities, by which prior and gates are chosen.
    said : Tensor
        (N, K, ...) logits.
    """

    content: Content
    domains: Tensor
    classes: Tensor
    said: Tensor


@dataclass(frozen=True, slots=True)
class Past:
    """A network and a generator that no longer learn.

    Attributes
    ----------
    model : nn.Module
        The network.
    network : Split
        The same, in its parts.
    generator : Generator
        The generator.
    """

    model: nn.Module
    network: Split
    generator: Generator

    @classmethod
    def of(cls, model: nn.Module, generator: Generator, *, internal: bool) -> Self:
        """Copy both as they are now."""
        copied = copy.deepcopy(model).requires_grad_(requires_grad=False).eval()
        for parameter in copied.parameters():
            parameter.grad = None
        return cls(copied, split(copied, internal=internal), generator.frozen())

    @torch.no_grad()
    def replay(self, count: int, targets: Targets, rng: torch.Generator) -> Replayed:
        """Generate samples of all that was shown, and have the network judge them."""
        contexts = self.generator.contexts
        domains, drawn = contexts.draw(count, rng)
        device = next(self.model.parameters()).device
        classes = functional.one_hot(drawn, contexts.classes).float().to(device)
        content = self.generator.generate(domains, classes, rng)
        said = self.network.classify(content).logits
        if said.ndim == classes.ndim:
            # By what the network says of it, as the paper has it, not by what it was drawn for.
            classes = targets.classes(targets.teacher(said, contexts, domains))
        return Replayed(content, domains, classes, said)

    def weights(self) -> State:
        """Return the network's weights."""
        return State({name: tensor.detach().cpu().clone() for name, tensor in self.model.state_dict().items()})
