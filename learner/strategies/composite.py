"""The one training step, composed of penalties, a rehearsal and a projection."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from learner.state import State
from learner.strategies.batch import Batch, LossFunction, StepReport
from learner.strategies.gradients import GradientRows
from learner.strategies.parts import NO_PENALTIES, Optimizer, Penalty, Projection, Rehearsal
from schemas.errors import WeldstreamError

_NEW = ""
"""Name of the new samples among the groups; no domain has an empty name."""


class DivergedError(WeldstreamError):
    """The loss or its gradient is no longer finite; the weights were left as they were."""

    reason = "diverged"


class Strategy:
    """Learns one batch at a time.

    Without a projection, new and replayed samples pass through the network
    together. With one, each group's gradient is computed on its own, once:
    the gradient that is descended is the weighted sum of the same gradients
    that constrain it. Both need a loss that adds up over samples and
    normalisation that does not mix them, so the model stays in evaluation
    mode (frozen batch statistics).

    Parameters
    ----------
    model : nn.Module
        Maps images (N, 1, H, W) to logits.
    parameters : sequence of Parameter
        Those that are learned.
    optimizer : Optimizer
        Over the same parameters.
    loss : LossFunction
        One loss for each sample.
    rehearsal : Rehearsal
        What replayed samples weigh.
    projection : Projection or None
        What constrains the step.
    penalties : sequence of Penalty
        What is added to the loss.
    clip_norm : float or None
        Longest gradient that is descended; a longer one, such as the first
        ones of a new domain, is shortened after the projection, which keeps
        its direction and so its constraints.
    """

    def __init__(
        self,
        model: nn.Module,
        parameters: Sequence[nn.Parameter],
        optimizer: Optimizer,
        loss: LossFunction,
        *,
        rehearsal: Rehearsal,
        projection: Projection | None = None,
        penalties: Sequence[Penalty] = NO_PENALTIES,
        clip_norm: float | None = None,
    ) -> None:
        self._model = model
        self._optimizer = optimizer
        self._loss = loss
        self._rehearsal = rehearsal
        self._projection = projection
        self._penalties = tuple(penalties)
        self._clip_norm = clip_norm
        self._gradients = GradientRows(parameters)
        self._domain: str | None = None

    @property
    def domain(self) -> str | None:
        """The domain that is being learned, if :meth:`begin_domain` named one."""
        return self._domain

    def begin_domain(self, name: str) -> None:
        """Say that the samples that follow are of a domain."""
        self._domain = name

    def end_domain(self, memory: Mapping[str, Batch]) -> None:
        """Consolidate the domain that was learned, with samples to do it on."""
        for penalty in self._penalties:
            penalty.end_domain(self._model, memory)
        self._domain = None

    def observe(self, batch: Batch, memory: Mapping[str, Batch]) -> StepReport:
        """Take one step.

        Parameters
        ----------
        batch : Batch
            New samples, at least one.
        memory : mapping of str to Batch
            Samples of past domains, as drawn from the memory; empty ones are
            ignored.

        Raises
        ------
        DivergedError
            If loss or gradient is not finite; no parameter has changed then.
        ValueError
            If the batch is empty.
        """
        if not len(batch):
            msg = "a step needs at least one new sample"
            raise ValueError(msg)
        past = {name: samples for name, samples in memory.items() if len(samples)}
        # Evaluation mode here, and not only by the caller: a pass over the memory must not move batch statistics.
        self._model.eval()
        weights = self._rehearsal.weights(len(batch), {name: len(samples) for name, samples in past.items()})
        past_weights = {name: weights.memory.get(name, 0.0) for name in past}
        if self._projection is None:
            # Nothing asks for the gradients of groups: those that weigh nothing need not pass at all.
            past = {name: samples for name, samples in past.items() if past_weights[name]}
            passes = [{_NEW: batch, **past}]
        else:
            passes = [{_NEW: batch}, *({name: samples} for name, samples in past.items())]
        group_weights = {_NEW: weights.new, **past_weights}

        self._gradients.reset(len(passes) + 1)
        losses: dict[str, float] = {}
        penalty = 0.0
        for row, groups in enumerate(passes):
            share = group_weights if self._projection is None else dict.fromkeys(groups, 1.0)
            group_losses, penalty_loss = self._backward(row, groups, share, penalty_row=len(passes))
            losses |= group_losses
            penalty += penalty_loss
        rows = self._gradients.rows(len(passes) + 1)
        if self._projection is None:
            coefficients = [1.0]
        else:
            coefficients = [group_weights[name] for groups in passes for name in groups]
        gradient, violated = self._combine(rows, coefficients, tuple(past))

        norm = float(torch.linalg.vector_norm(gradient))
        if not (math.isfinite(norm) and all(map(math.isfinite, losses.values())) and math.isfinite(penalty)):
            msg = f"loss {losses[_NEW]:.3g} with gradient norm {norm:.3g} is not finite"
            raise DivergedError(msg)
        if self._clip_norm is not None and norm > self._clip_norm:
            gradient = gradient * (self._clip_norm / norm)
        self._gradients.install(gradient)
        self._optimizer.step()
        if self._penalties:
            unregularised = torch.tensor(coefficients, device=rows.device) @ rows[: len(passes)]
            for part in self._penalties:
                part.after_step(self._model, unregularised)
        return StepReport(
            loss=losses.pop(_NEW),
            memory_losses=losses,
            violated=violated,
            gradient_norm=norm,
            penalty=penalty,
            samples=len(batch) + sum(map(len, past.values())),
        )

    def _backward(
        self, row: int, groups: Mapping[str, Batch], share: Mapping[str, float], penalty_row: int
    ) -> tuple[dict[str, float], float]:
        """Add the gradient of the weighted sum of the groups' mean losses to a row."""
        joined = Batch.join(list(groups.values()))
        logits = self._model(joined.images)
        per_sample = self._loss(logits, joined.targets)
        means = dict(
            zip(
                groups,
                (part.mean() for part in torch.split(per_sample, [len(b) for b in groups.values()])),
                strict=True,
            )
        )
        total = torch.stack([means[name] * share[name] for name in groups]).sum()
        penalised = bool(self._penalties) and _NEW in groups
        self._gradients.collect_into(row)
        torch.autograd.backward(total, retain_graph=penalised)
        penalty = 0.0
        if penalised:
            batch = groups[_NEW]
            extra = torch.stack([p.loss(self._model, batch, logits[: len(batch)]) for p in self._penalties]).sum()
            self._gradients.collect_into(penalty_row)
            torch.autograd.backward(extra)
            penalty = float(extra.detach())
        return {name: float(mean.detach()) for name, mean in means.items()}, penalty

    def _combine(
        self, rows: Tensor, coefficients: Sequence[float], past: Sequence[str]
    ) -> tuple[Tensor, tuple[str, ...]]:
        """Weigh the rows, add the penalties' row, and project the sum."""
        *losses, penalty = rows
        if self._projection is None:
            return (losses[0] + penalty if self._penalties else losses[0]), ()
        gradient = torch.tensor(coefficients, device=rows.device) @ rows[:-1]
        if self._penalties:
            gradient = gradient + penalty
        if not past:
            return gradient, ()
        projected = self._projection(gradient, rows[1:-1])
        return projected.gradient, tuple(past[i] for i in projected.violated)

    def state(self) -> State:
        """Return what must survive a restart, the parts' state included."""
        parts = {f"penalty-{i}": penalty.state() for i, penalty in enumerate(self._penalties)}
        joined = State.join(parts)
        return State(joined.tensors, {"domain": self._domain, "parts": joined.values})

    def restore(self, state: State) -> None:
        """Take over what :meth:`state` returned."""
        self._domain = state.values["domain"]
        parts = State(state.tensors, state.values["parts"])
        for i, penalty in enumerate(self._penalties):
            penalty.restore(parts.part(f"penalty-{i}"))
