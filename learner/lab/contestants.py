"""A strategy of this project that takes part: network, optimiser and memory around it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from learner.lab.coreset import by_gradient, by_what_it_shows
from learner.lab.judging import HeadLoss
from learner.lab.memory import LabMemory
from learner.lab.networks import learned_parameters
from learner.lab.settings import AvalancheConfig, Job, JointConfig, MemoryConfig, OptimizerConfig
from learner.lab.streams import Samples, Stream
from learner.losses import ClassLoss, SegmentationLoss
from learner.strategies import Batch, LossFunction, make_strategy
from learner.strategies.fine_tuning import FineTuningConfig

CONSOLIDATED = 1000
"""Most training samples of a domain that its end consolidates on."""

_BY_LIKELIHOOD = ("ewc", "online_ewc")
"""Strategies that ask, when a domain ends, how likely the network finds labels."""


class OwnContestant:
    """A strategy of this project with a memory of the laboratory.

    Parameters
    ----------
    job : Job
        What is run.
    stream : Stream
        What is learned.
    model : nn.Module
        The network.
    rng : numpy.random.Generator
        Of the memory.
    """

    def __init__(self, job: Job, stream: Stream, model: nn.Module, rng: np.random.Generator) -> None:
        method = job.method
        self._model = model
        self._names = [domain.name for domain in stream.domains]
        self._settings = method.memory
        self._memory = None if method.memory is None else make_memory(method.memory, model, stream, rng)
        self._parameters = learned_parameters(model, stream)
        self._optimizer = make_optimizer(method.optimizer, self._parameters)
        self._reset = method.optimizer.reset
        assert not isinstance(method.strategy, AvalancheConfig)
        strategy = FineTuningConfig() if isinstance(method.strategy, JointConfig) else method.strategy
        if "seed" in type(strategy).model_fields:
            strategy = strategy.model_copy(update={"seed": job.seed})
        self._strategy = make_strategy(
            strategy,
            model,
            self._parameters,
            self._optimizer,
            make_loss(job, stream),
            clip_norm=method.clip_norm,
        )
        self._heads: list[Tensor] | None = None
        if stream.scenario == "task" and strategy.kind in _BY_LIKELIHOOD:
            every = torch.arange(len(stream.classes))
            self._heads = [~torch.isin(every, torch.tensor(domain.classes)) for domain in stream.domains]
        self._domain = 0
        self._arrived: Batch | None = None
        self._logits: Tensor | None = None

    @property
    def model(self) -> nn.Module:
        """The network."""
        return self._model

    def begin_domain(self, index: int) -> None:
        """Tell the strategy, and forget the optimiser's moments where the settings say so."""
        self._domain = index
        if self._reset:
            self._optimizer.state.clear()
        self._strategy.begin_domain(self._names[index])

    def arrive(self, batch: Batch) -> None:
        """Remember the samples, with what the network makes of them now where the memory keeps that."""
        self._arrived = batch
        if self._memory is not None and self._settings is not None and self._settings.logits:
            with torch.no_grad():
                self._logits = self._model(batch.images)

    def step(self, batch: Batch) -> None:
        """Step, with a draw of the memory."""
        self._strategy.observe(batch, self._draw())

    def keep(self) -> None:
        """Offer the samples to a memory that is filled at each step."""
        if self._memory is not None and self._settings is not None and self._settings.fill == "step":
            assert self._arrived is not None
            self._memory.add(self._arrived, self._domain, self._logits)

    def end_domain(self, train: Samples) -> None:
        """Consolidate on samples of the domain, and keep some."""
        with self._own_head():
            self._strategy.end_domain({self._names[self._domain]: train.first(CONSOLIDATED).take()})
        if self._memory is not None and self._settings is not None and self._settings.fill == "domain":
            self._memory.fill(train.take(), self._domain)

    @contextmanager
    def _own_head(self) -> Iterator[None]:
        """Let only the domain's classes be likely where that is the scenario.

        The Fisher information of the heads of other domains would hold what
        nothing has taught them.
        """
        if self._heads is None:
            yield
            return
        closed = self._heads[self._domain]
        hook = self._model.register_forward_hook(lambda _module, _inputs, logits: logits.masked_fill(closed, -1e9))
        try:
            yield
        finally:
            hook.remove()

    def kept_bytes(self) -> int:
        """Return the bytes of weights, moments, the strategy's state and the memory."""
        slots: list[Any] = [t for own in self._optimizer.state.values() for t in own.values()]
        moments = [t for t in slots if isinstance(t, Tensor)]
        tensors = [*self._model.state_dict().values(), *moments, *self._strategy.state().tensors.values()]
        return sum(int(t.nbytes) for t in tensors) + (0 if self._memory is None else self._memory.bytes)

    def _draw(self) -> dict[str, Batch]:
        if self._memory is None or self._settings is None:
            return {}
        last = self._domain + 1 if self._settings.current else self._domain
        return self._memory.draw({i: self._names[i] for i in range(last)})


def make_memory(config: MemoryConfig, model: nn.Module, stream: Stream, rng: np.random.Generator) -> LabMemory:
    """Return an empty memory for samples of a stream."""
    describe = None
    if config.policy == "diverse":
        describe = by_what_it_shows(model, stream)
    elif config.policy == "diverse_gradients":
        describe = by_gradient(model)
    return LabMemory(config, len(stream.domains), rng, describe)


def make_loss(job: Job, stream: Stream) -> LossFunction:
    """Return what is minimised on a stream."""
    if stream.masks:
        return SegmentationLoss(job.loss)
    return HeadLoss(stream) if stream.scenario == "task" else ClassLoss()


def make_optimizer(config: OptimizerConfig, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    """Return an optimiser over parameters."""
    rate, decay = config.learning_rate, config.weight_decay
    match config.kind:
        case "sgd":
            return torch.optim.SGD(parameters, lr=rate, momentum=config.momentum, weight_decay=decay)
        case "adam":
            return torch.optim.Adam(parameters, lr=rate, weight_decay=decay, fused=True)
        case "adamw":
            return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay, fused=True)
