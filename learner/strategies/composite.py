"""The one training step, composed of a rehearsal, penalties and a projection."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from learner.state import State
from learner.strategies.batch import Batch, LossFunction, StepReport
from learner.strategies.gradients import GradientRows, flatten
from learner.strategies.parts import Anchor, Distillation, Optimizer, Part, Projection, Pull, Rehearsal
from learner.strategies.passes import Passed, Passes
from schemas.errors import WeldstreamError

_PROJECTION = "projection"


class DivergedError(WeldstreamError):
    """The loss or its gradient is no longer finite; the weights were left as they were."""

    reason = "diverged"


class Strategy:
    """Learns one batch at a time.

    New and replayed samples pass through the network together. Where a
    projection asks for the gradients of groups, each is computed once: the
    gradient that is descended is the weighted sum of the same gradients that
    constrain it. Both need a loss that adds up over samples and normalisation
    that does not mix them, so the model stays in evaluation mode (frozen
    batch statistics).

    Parameters
    ----------
    model : nn.Module
        Maps images (N, ...) to logits (N, K, ...).
    parameters : sequence of Parameter
        Those that are learned.
    optimizer : Optimizer
        Over the same parameters.
    loss : LossFunction
        One loss for each sample.
    rehearsal : Rehearsal
        How past samples enter the loss.
    projection : Projection or None
        What constrains the step.
    distillations : mapping of str to Distillation
        Penalties on the outputs, by name.
    anchors : mapping of str to Anchor
        Penalties on the parameters, by name.
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
        distillations: Mapping[str, Distillation] | None = None,
        anchors: Mapping[str, Anchor] | None = None,
        clip_norm: float | None = None,
    ) -> None:
        self._model = model
        self._modules = tuple(model.modules())
        self._parameters = tuple(parameters)
        self._optimizer = optimizer
        self._rehearsal = rehearsal
        self._projection = projection
        self._distillations = dict(distillations or {})
        self._anchors = dict(anchors or {})
        self._clip_norm = clip_norm
        self._rows = GradientRows(parameters)
        self._passes = Passes(model, loss, rehearsal, tuple(self._distillations.values()), self._rows)
        self._domain: str | None = None
        self._ended = 0

    @property
    def domain(self) -> str | None:
        """The domain that is being learned, if :meth:`begin_domain` named one."""
        return self._domain

    def begin_domain(self, name: str) -> None:
        """Say that the samples that follow are of a domain."""
        self._domain = name

    def end_domain(self, memory: Mapping[str, Batch]) -> None:
        """Consolidate the domain that was learned.

        Parameters
        ----------
        memory : mapping of str to Batch
            Samples to do it on: those of the domain that :meth:`begin_domain`
            named where there are any, else all of them.
        """
        self._model.eval()
        named = memory.get(self._domain) if self._domain is not None else None
        samples = [batch for batch in ([named] if named is not None else memory.values()) if len(batch)]
        for part in self._parts().values():
            part.end_domain(samples)
        self._domain = None
        self._ended += 1

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
            If the batch is empty, or samples lack what the strategy needs.
        """
        if not len(batch):
            msg = "a step needs at least one new sample"
            raise ValueError(msg)
        # Evaluation mode here, and not only by the caller: a pass over the memory must not move batch statistics.
        if any(module.training for module in self._modules):
            self._model.eval()
        past = {name: samples for name, samples in memory.items() if len(samples)}
        names = tuple(past)
        if self._projection is not None:
            past = {name: past[name] for name in self._projection.due(names)}
        weights = self._rehearsal.weights(len(batch), {name: len(s) for name, s in past.items()}, self._ended + 1)
        if self._projection is None:
            # Nothing asks for the gradients of groups: those that weigh nothing need not pass at all.
            past = {name: samples for name, samples in past.items() if weights.memory.get(name)}
        shares = [weights.new, *(weights.memory.get(name, 0.0) for name in past)]

        if self._projection is None or not past:
            passed = self._passes.together(batch, past, shares)
            unprojected = passed.rows[0]
        else:
            together = self._projection.together
            passed = self._passes.apart(batch, past, one_constraint=together, share=weights.new)
            coefficients = [shares[0], sum(shares[1:])] if together else shares
            unprojected = torch.tensor(coefficients, device=passed.rows.device) @ passed.rows
        before = flatten(self._parameters) if self._anchors else None
        pulls = [] if before is None else self._pull(before)
        gradient = unprojected
        for pull in pulls:
            gradient = gradient + pull.gradient
        gradient, violated = self._project(gradient, passed, tuple(past), names)

        norm = float(torch.linalg.vector_norm(gradient))
        penalty = passed.penalty + sum(float(pull.value) for pull in pulls)
        losses = dict(zip(past, passed.losses[1:].tolist(), strict=True))
        loss = float(passed.losses[0])
        if not all(map(math.isfinite, (norm, penalty, loss, *losses.values()))):
            msg = f"loss {loss:.3g} with gradient norm {norm:.3g} is not finite"
            raise DivergedError(msg)
        # What follows the path wants the gradient before it is shortened, and as it was: no part may change it.
        if self._clip_norm is not None and norm > self._clip_norm:
            gradient = gradient * (self._clip_norm / norm)
        self._rows.install(gradient)
        with self._slowed():
            self._optimizer.step()
        self._follow(before, unprojected)
        return StepReport(
            loss=loss,
            memory_losses=losses,
            violated=violated,
            gradient_norm=norm,
            penalty=penalty,
            samples=len(batch) + sum(map(len, past.values())),
        )

    def _pull(self, parameters: Tensor) -> list[Pull]:
        return [pull for anchor in self._anchors.values() if (pull := anchor.pull(parameters)) is not None]

    def _project(
        self, gradient: Tensor, passed: Passed, past: tuple[str, ...], names: tuple[str, ...]
    ) -> tuple[Tensor, tuple[str, ...]]:
        """Project a gradient, and say which past domains it violated."""
        if self._projection is None or not names or not bool(torch.isfinite(gradient.sum())):
            return gradient, ()  # what is not finite is refused by the step: no part shall keep anything of it
        if not self._projection.together:
            projected = self._projection(gradient, passed.rows[1 : 1 + len(past)], past, names)
            return projected.gradient, projected.violated
        projected = self._projection(gradient, passed.rows[1:], ("",), ("",))
        return projected.gradient, names if projected.violated else ()

    def _follow(self, before: Tensor | None, gradient: Tensor) -> None:
        """Show the step to the anchors that ask for it."""
        following = [anchor for anchor in self._anchors.values() if anchor.follows_steps]
        if not following or before is None:
            return
        after = flatten(self._parameters)
        for anchor in following:
            anchor.after_step(before, after, gradient)

    @contextmanager
    def _slowed(self) -> Iterator[None]:
        """Multiply the optimiser's rates by what the distillations ask for."""
        factor = math.prod(part.rate_factor for part in self._distillations.values())
        if factor == 1.0:
            yield
            return
        rates = [group["lr"] for group in self._optimizer.param_groups]
        try:
            for group, rate in zip(self._optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            yield
        finally:
            for group, rate in zip(self._optimizer.param_groups, rates, strict=True):
                group["lr"] = rate

    def _parts(self) -> dict[str, Part]:
        return {**self._distillations, **self._anchors}

    def state(self) -> State:
        """Return what must survive a restart, the parts' state included: copies that no step changes."""
        states = {name: part.state() for name, part in self._parts().items()}
        if self._projection is not None:
            states[_PROJECTION] = self._projection.state()
        joined = State.join(states)
        tensors = {name: tensor.detach().cpu().clone() for name, tensor in joined.tensors.items()}
        return State(tensors, {"domain": self._domain, "ended": self._ended, "parts": joined.values})

    def restore(self, state: State) -> None:
        """Take over what :meth:`state` returned.

        A strategy may be changed between two runs: a part that the state does
        not know begins here, and what the state tells of other parts is left.
        """
        self._domain = state.values["domain"]
        self._ended = int(state.values.get("ended", 0))
        device = self._parameters[0].device
        parts = State({name: t.to(device) for name, t in state.tensors.items()}, state.values["parts"])
        for name, part in self._parts().items():
            if name in parts.values:
                part.restore(parts.part(name))
        if self._projection is not None and _PROJECTION in parts.values:
            self._projection.restore(parts.part(_PROJECTION))
