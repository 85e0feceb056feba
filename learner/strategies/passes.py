"""Takes groups of samples through the network and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from learner.strategies.batch import Batch, LossFunction
from learner.strategies.features import FeatureTap, find_classifier
from learner.strategies.gradients import GradientRows
from learner.strategies.grouped import GroupedGradients, UngroupableError
from learner.strategies.parts import Distillation, Outputs, Rehearsal


@dataclass(frozen=True, slots=True)
class Passed:
    """What a pass found.

    Attributes
    ----------
    rows : Tensor
        (groups, P) gradients; a view that the next pass overwrites.
    losses : NDArray[np.float64]
        Mean loss against the targets of the new samples, and of those of each
        past domain.
    penalty : float
        Sum of what the distillations added.
    """

    rows: Tensor
    losses: NDArray[np.float64]
    penalty: float


class Passes:
    """Forward and backward, for all groups together or for each of them.

    Parameters
    ----------
    model : nn.Module
        In evaluation mode during a pass.
    loss : LossFunction
        One loss for each sample.
    rehearsal : Rehearsal
        What is minimised of past samples.
    distillations : sequence of Distillation
        What new samples are also held to.
    rows : GradientRows
        Filled.
    groupable : bool
        Whether one pass over all groups is tried where each group's gradient
        is wanted; it serves networks whose parameters are all those of linear
        layers.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: LossFunction,
        rehearsal: Rehearsal,
        distillations: Sequence[Distillation],
        rows: GradientRows,
        *,
        groupable: bool = True,
    ) -> None:
        self._model = model
        self._loss = loss
        self._rehearsal = rehearsal
        self._distillations = tuple(distillations)
        self._rows = rows
        tapped = any(part.needs_features for part in distillations)
        self._classifier = find_classifier(model) if tapped else None
        self._groupable = groupable

    def together(self, new: Batch, past: Mapping[str, Batch], shares: Sequence[float]) -> Passed:
        """Take the gradient of one sum: of the groups' mean losses times their shares, new samples first."""
        rows = self._rows.reset(1)
        self._rows.collect_into(0)
        return self._back(rows, self._forward([new, *past.values()], shares, held=len(new)))

    def apart(self, new: Batch, past: Mapping[str, Batch], *, one_constraint: bool, share: float) -> Passed:
        """Take the gradient of each group's mean loss, new samples first.

        Parameters
        ----------
        new, past
            The groups, at least one past one.
        one_constraint : bool
            All past samples are one group.
        share : float
            What the new samples' row will be multiplied by: distillations,
            which are to be added as they are, are divided by it.
        """
        counts = [len(samples) for samples in past.values()]
        sizes = [sum(counts)] if one_constraint else counts
        shares = [count / sum(counts) if one_constraint else 1.0 for count in counts]
        if self._groupable:
            rows = self._rows.room(1 + len(sizes))
            for parameter in self._rows.parameters:
                parameter.grad = None
            try:
                with GroupedGradients(self._rows, [len(new), *sizes]) as grouped:
                    forward = self._forward([new, *past.values()], [1.0, *shares], held=len(new), factor=1.0 / share)
                passed = self._back(rows, forward)
                grouped.complete()
            except UngroupableError:
                # A network with other layers: its groups pass one after the other, now and from now on.
                self._groupable = False
            else:
                return passed
        rows = self._rows.reset(1 + len(sizes))
        self._rows.collect_into(0)
        first = self._back(rows, self._forward([new], [1.0], held=len(new), factor=1.0 / share))
        losses = [first.losses]
        groups = [list(past.values())] if one_constraint else [[samples] for samples in past.values()]
        for row, group in enumerate(groups, start=1):
            self._rows.collect_into(row)
            forward = self._forward(group, shares if one_constraint else [1.0], held=0)
            losses.append(self._back(rows, forward).losses)
        return Passed(rows, np.concatenate(losses), first.penalty)

    def _forward(
        self, groups: Sequence[Batch], shares: Sequence[float], *, held: int, factor: float = 1.0
    ) -> "_Forward":
        """Make the objective; the first `held` samples are new ones, the groups after them past ones."""
        joined = Batch.join(groups)
        logits, features = self._run(joined.images, tapped=bool(held))
        losses = self._loss(logits, joined.targets)
        counts = [len(group) for group in groups]
        minimised = losses
        past = groups[1:] if held else groups
        if past:
            own = self._rehearsal.losses(past, logits[held:], losses[held:])
            if own is not None:
                minimised = torch.cat([losses[:held], own])
        weights = np.repeat(np.divide(shares, counts), counts).astype(np.float32)
        objective = torch.dot(minimised, torch.from_numpy(weights).to(losses.device))
        penalties: list[Tensor] = []
        if held:
            outputs = Outputs(logits[:held], None if features is None else features[:held])
            found = (part.loss(joined.images[:held], outputs) for part in self._distillations)
            penalties = [penalty for penalty in found if penalty is not None]
            for penalty in penalties:
                objective = objective + factor * penalty
        return _Forward(objective, losses, counts, penalties)

    def _run(self, images: Tensor, *, tapped: bool) -> tuple[Tensor, Tensor | None]:
        if self._classifier is None or not tapped:
            return self._model(images), None
        with FeatureTap(self._classifier) as tap:
            logits = self._model(images)
        return logits, tap.features

    @staticmethod
    def _back(rows: Tensor, forward: "_Forward") -> Passed:
        torch.autograd.backward(forward.objective)
        each = forward.losses.detach().cpu().numpy().astype(np.float64)
        starts = np.cumsum([0, *forward.counts[:-1]])
        losses = np.add.reduceat(each, starts) / forward.counts
        return Passed(rows, losses, sum((float(penalty.detach()) for penalty in forward.penalties), start=0.0))


@dataclass(frozen=True, slots=True)
class _Forward:
    """The objective, the loss of each sample, samples of each group, and what the distillations added."""

    objective: Tensor
    losses: Tensor
    counts: list[int]
    penalties: list[Tensor]
