"""The generator that a strategy owns: autoencoder, contexts and optimiser, growing with the domains."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from learner.state import State
from learner.strategies.generative.autoencoder import Autoencoder, Content, Elbo, Shapes
from learner.strategies.generative.config import GeneratorConfig, Key
from learner.strategies.generative.contexts import Contexts
from learner.strategies.generative.dense import DenseCodec
from learner.strategies.generative.vector import VectorCodec

_MAPS = 3
"""Dimensions of a map (C, H, W)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a generator is made of.

    Attributes
    ----------
    config : GeneratorConfig
        Sizes and rates.
    modes_by, gates_by : str or None
        What the prior's modes and the gates are for; None: there are none.
    gated_share : float
        Share of units that a context switches off.
    seed : int
        Of weights.
    """

    config: GeneratorConfig
    modes_by: Key | None
    gates_by: Key | None
    gated_share: float
    seed: int


class Generator:
    """Generates content of the contexts that it was shown.

    Parameters
    ----------
    plan : Plan
        What it is made of.
    example : tuple of Tensor
        Content (N, ...) by which values are standardised.
    hidden : int or None
        Units of the network's hidden layer where that is the encoder.
    classes : int
        There are.
    """

    def __init__(self, plan: Plan, example: Content, hidden: int | None, classes: int) -> None:
        self.plan = plan
        self.contexts = Contexts(classes)
        self.shapes: Shapes = tuple(tuple(level.shape[1:]) for level in example)
        self._hidden = hidden
        share = plan.gated_share if plan.gates_by else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(plan.seed)
            codec: nn.Module = (
                DenseCodec(self.shapes, hidden, plan.config, share)
                if len(self.shapes[0]) == _MAPS
                else VectorCodec(self.shapes[0][0], hidden, plan.config, share)
            )
        self.net = Autoencoder(codec, plan.config, example, conditional=plan.modes_by is not None)
        self.net.to(example[0].device)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=plan.config.learning_rate)

    def enter(self, domain: str, rng: torch.Generator) -> None:
        """Make room for a domain, if it is new."""
        if not self.contexts.enter(domain):
            return
        modes, gates = (
            0 if key is None else self.contexts.added(key) for key in (self.plan.modes_by, self.plan.gates_by)
        )
        new = self.net.add_contexts(modes, gates, rng)
        if new:
            self.optimizer.add_param_group({"params": new})

    def elbo(
        self, content: Content, hidden: Tensor | None, domains: Tensor, classes: Tensor, rng: torch.Generator
    ) -> Elbo:
        """Return the losses of content of domains (N,) and classes (N, K), probabilities.

        Raises
        ------
        ValueError
            If the content has other shapes than the first had.
        """
        shapes = tuple(tuple(level.shape[1:]) for level in content)
        if shapes != self.shapes:
            msg = f"the generator makes samples of {self.shapes}, not of {shapes}"
            raise ValueError(msg)
        modes, gates = self._weights(domains, classes)
        return self.net.elbo(content, hidden, modes, gates, rng)

    def generate(self, domains: Tensor, classes: Tensor, rng: torch.Generator) -> Content:
        """Generate content of domains (N,) and classes (N, K)."""
        return self.net.generate(*self._weights(domains, classes), rng)

    def _weights(self, domains: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        modes, gates = (
            self.contexts.weights(key, domains, classes) if key else classes.new_ones((len(classes), 1))
            for key in (self.plan.modes_by, self.plan.gates_by)
        )
        return modes, gates

    def frozen(self) -> "Generator":
        """Return a copy that no longer learns."""
        other = copy.copy(self)
        other.contexts = self.contexts.copy()
        other.net = copy.deepcopy(self.net).requires_grad_(requires_grad=False)
        for parameter in other.net.parameters():
            parameter.grad = None
        return other

    def values(self) -> dict[str, Any]:
        """Return what :meth:`of_values` needs to build a generator of the same shape, as JSON."""
        return {"shapes": [list(s) for s in self.shapes], "hidden": self._hidden, "contexts": self.contexts.values()}

    @classmethod
    def of_values(cls, plan: Plan, values: Mapping[str, Any], device: torch.device) -> "Generator":
        """Build a generator whose tensors are then loaded."""
        contexts = Contexts.of_values(values["contexts"])
        example = tuple(torch.zeros(1, *shape, device=device) for shape in values["shapes"])
        generator = cls(plan, example, values["hidden"], contexts.classes)
        rng = torch.Generator()
        for domain in contexts.domains:
            generator.enter(domain, rng)
        generator.contexts = contexts
        return generator

    def state(self) -> State:
        """Return weights, gates, standardisation and the optimiser's moments."""
        weights = {f"net/{name}": _copy(tensor) for name, tensor in self.net.state_dict().items()}
        slots = self.optimizer.state_dict()["state"]
        moments = {f"adam/{i}/{key}": _copy(value) for i, slot in slots.items() for key, value in slot.items()}
        return State(weights | moments, self.values())

    def load(self, state: State) -> None:
        """Take over the tensors of :meth:`state`.

        Raises
        ------
        RuntimeError
            If they are of another generator.
        """
        weights, slots = {}, dict[int, dict[str, Tensor]]()
        for key, tensor in state.tensors.items():
            kind, name = key.split("/", 1)
            if kind == "net":
                weights[name] = tensor
            else:
                index, slot = name.split("/")
                slots.setdefault(int(index), {})[slot] = tensor.clone()
        self.net.load_state_dict(weights, strict=True)
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": slots, "param_groups": groups})


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().clone()
