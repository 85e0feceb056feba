"""Training steps off the event loop, with memory draws made while the step before runs."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from learner.crops import by_domain
from learner.extras import StoredLogits
from learner.settings import TrainingSettings
from learner.state import State
from learner.strategies import DivergedError, StepReport
from learner.telemetry import LearnerMetrics
from learner.trainer import Trainer
from memory.descriptors import choose_domains
from memory.samples import Sample
from memory.sampling import Balanced, Policy

T = TypeVar("T")
Draw = Callable[[Policy], Awaitable[list[Sample]]]
Remember = Callable[[Sequence[Sample], Sequence[NDArray[np.float32]]], Awaitable[list[Sample]]]

STORED_LOGITS = "stored_logits"
"""Name of their part of a checkpoint's state."""

_CONSOLIDATION = 32
"""Samples of a domain on which its end is consolidated."""


class DivergedBatchError(DivergedError):
    """A step met a loss that is not finite; the weights that led there are not to be trusted.

    Parameters
    ----------
    message : str
        What was found.
    rehearsed : sequence of Sample
        What was drawn from the memory for the step.
    """

    def __init__(self, message: str, rehearsed: Sequence[Sample]) -> None:
        super().__init__(message)
        self.rehearsed = tuple(rehearsed)


class Learning:
    """Learns groups of new labels with rehearsal.

    Parameters
    ----------
    trainer : Trainer
        Used in the executor's thread only.
    draw, peek : callable
        Draw from the memory, and wait where Redis is away. Peeking leaves all
        later draws as they would have been.
    settings : TrainingSettings
        Sizes and numbers of steps.
    executor : Executor
        Of one thread.
    metrics : LearnerMetrics
        Shows the steps.
    remember : callable or None
        Stores logits with samples that the memory holds; returns the samples
        with them. Needed where the strategy rehearses them.
    logits : StoredLogits or None
        What was stored so, where a checkpoint is to have it.
    domains : sequence of str
        Domains known already, oldest first; the last is the current one.
    idle_steps : float
        Rehearsal steps that labels have paid for and that are still to be made.
    """

    def __init__(
        self,
        trainer: Trainer,
        *,
        draw: Draw,
        peek: Draw,
        settings: TrainingSettings,
        executor: Executor,
        metrics: LearnerMetrics,
        remember: Remember | None = None,
        logits: StoredLogits | None = None,
        domains: Sequence[str] = (),
        idle_steps: float = 0.0,
    ) -> None:
        self.trainer = trainer
        self._draw = draw
        self._peek = peek
        self._settings = settings
        self._executor = executor
        self._metrics = metrics
        if trainer.stores_logits and remember is None:
            msg = "the strategy rehearses logits, and nothing would store them"
            raise ValueError(msg)
        self._remember = remember
        self._logits = logits
        self._domains = list(domains)
        self._idle_steps = idle_steps

    @property
    def domains(self) -> tuple[str, ...]:
        """Domains seen, in the order in which they were last begun; the last is the current one."""
        return tuple(self._domains)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint needs beside the trainer."""
        return {"domains": list(self._domains), "idle_steps": self._idle_steps}

    def logits(self) -> State:
        """Return the stored logits that a checkpoint needs beside the trainer, if any, as a part of its state."""
        return State() if self._logits is None else State.join({STORED_LOGITS: self._logits.state()})

    @property
    def can_rehearse(self) -> bool:
        """Whether idle steps are left that labels have paid for."""
        return self._idle_steps >= 1.0 and bool(self._domains)

    async def enter(self, domain: str) -> None:
        """Make a domain the current one; consolidate the one before when this one is new."""
        if self._domains and self._domains[-1] == domain:
            return
        if domain in self._domains:
            self._domains.remove(domain)
        elif self._domains:
            samples = await self._draw(Balanced({self._domains[-1]: _CONSOLIDATION}))
            await self._run(lambda: self.trainer.end_domain(by_domain(samples)))
        self._domains.append(domain)
        await self._run(lambda: self.trainer.begin_domain(domain))

    async def learn(self, new: Sequence[Sample]) -> None:
        """Learn labels of one domain.

        Raises
        ------
        DivergedBatchError
            If a loss was not finite.
        """
        await self.enter(new[0].domain)
        steps = max(1, math.ceil(self._settings.steps_per_label * len(new)))
        self._idle_steps += self._settings.idle_steps_per_label * len(new)
        await self._with_logits(new)
        await self._steps(new, steps, "new")

    async def rehearse(self) -> None:
        """Take one step on the memory alone.

        Raises
        ------
        DivergedBatchError
            If the loss was not finite.
        """
        self._idle_steps -= 1.0
        await self._steps((), 1, "idle")

    async def pretrain(self, samples: Sequence[Sample], train: Callable[[Trainer, Sequence[Sample]], T]) -> T:
        """Train a first model; batch statistics are learned here only."""
        trained = await self._run(lambda: train(self.trainer, samples))
        # Only now: what ends a domain consolidates, or freezes, weights that know it.
        for domain in dict.fromkeys(s.domain for s in samples):
            await self.enter(domain)
        await self._with_logits(samples)
        return trained

    async def some(self, count: int) -> list[Sample]:
        """Return some samples of the current domain."""
        return await self._peek(Balanced({self._domains[-1]: count})) if self._domains else []

    async def reset(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Continue from other weights, with an optimiser that has no memory of those before."""
        await self._run(lambda: load_weights(self.trainer, tensors))

    async def _steps(self, new: Sequence[Sample], steps: int, kind: str) -> None:
        drawn = await self._batch(new)
        for left in reversed(range(steps)):
            current, past = drawn
            if not current:
                return
            following = asyncio.create_task(self._batch(new)) if left else None
            began = time.perf_counter()
            try:
                report: StepReport = await self._run(partial(self.trainer.step, current, past))
            except DivergedError as error:
                if following:
                    await following
                known = {sample.label_id for sample in new}
                used = (sample for samples in (current, *past.values()) for sample in samples)
                raise DivergedBatchError(str(error), [s for s in used if s.label_id not in known]) from error
            self._metrics.steps.labels(kind).inc()
            self._metrics.step_seconds.observe(time.perf_counter() - began)
            self._metrics.loss.set(report.loss)
            self._metrics.violated.inc(len(report.violated))
            if following:
                drawn = await following

    async def _batch(self, new: Sequence[Sample]) -> tuple[list[Sample], dict[str, list[Sample]]]:
        """Return the samples of the current domain, new ones first, and those of each past domain."""
        current, settings = self._domains[-1], self._settings
        past = choose_domains(current, self._domains[:-1], settings.past_domains, settings.most_past_domains)
        counts = dict.fromkeys(past, settings.replay_per_domain) if settings.replay_per_domain else {}
        fill = max(0, settings.batch_size - len(new))
        first = counts | ({current: fill} if fill else {})
        samples = await self._draw(Balanced(first)) if first else []
        for _ in range(1, self.trainer.draws if counts else 1):
            # Each draw is without replacement, and independent of those before: a sample may be in several.
            samples += await self._draw(Balanced(counts))
        drawn = by_domain(samples)
        fill_in = drawn.pop(current, [])
        return [*new, *fill_in], {name: await self._with_logits(found) for name, found in drawn.items()}

    async def _with_logits(self, samples: Sequence[Sample]) -> list[Sample]:
        """Return samples with their logits, where the strategy wants them.

        New samples have theirs from just before they are learned. A sample
        that comes from the memory without, because it was admitted and waits,
        or because the memory was made anew, has its own made now. Both are stored.
        """
        if self._remember is None or not self.trainer.stores_logits:
            return list(samples)
        without = list({s.label_id: s for s in samples if not self.trainer.has_logits(s)}.values())
        if not without:
            return list(samples)
        logits = await self._run(lambda: self.trainer.logits(without))
        made = {sample.label_id: sample for sample in await self._remember(without, logits)}
        return [made.get(sample.label_id, sample) for sample in samples]

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


def load_weights(trainer: Trainer, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put weights into a trainer and forget its optimiser's moments, which belong to others."""
    state = trainer.state()
    trainer.restore(
        State.join(
            {
                "model": State({**state.part("model").tensors, **tensors}),
                "averaged": State({**state.part("averaged").tensors, **tensors}),
                "optimizer": State(),
                "strategy": state.part("strategy"),
                "trainer": state.part("trainer"),
            }
        )
    )
