"""One step with generated samples in the place of stored ones."""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from learner.state import State
from learner.strategies.batch import Batch, StepReport
from learner.strategies.composite import DivergedError
from learner.strategies.generative.autoencoder import Content, Elbo
from learner.strategies.generative.generator import Generator, Plan
from learner.strategies.generative.networks import Split, split
from learner.strategies.generative.targets import Targets
from learner.strategies.gradients import GradientRows
from learner.strategies.parts import NO_PENALTIES, Optimizer, Penalty

GENERATED = "generated"
"""Name under which a step reports the loss of what was replayed."""

_MASKS = 3
"""Dimensions of a batch of masks."""


@dataclass(frozen=True, slots=True)
class Past:
    """The network and the generator as they were when the last domain ended: what replay comes from."""

    model: nn.Module
    network: Split
    generator: Generator


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


class GenerativeStrategy:
    """Learns new samples beside generated ones; no sample is ever kept, and the memory is not looked at.

    Beside the network there are a generator and, from the end of the first
    domain on, a copy of both: a step costs about what two or three plain ones
    do, however many domains there have been.

    Parameters
    ----------
    model : nn.Module
        Maps images to logits.
    parameters : sequence of Parameter
        Those that are learned; the front's are left alone where features are
        replayed.
    optimizer : Optimizer
        Over the same parameters; the generator has its own.
    loss : LossFunction
        One loss for each sample.
    plan : Plan
        The generator.
    targets : Targets
        What replayed samples are compared with.
    internal : bool
        Whether features are replayed.
    feedback : bool
        Whether the network is the generator's encoder.
    seed : int
        Of draws.
    penalties : sequence of Penalty
        What is added to the loss.
    clip_norm : float or None
        Longest gradient of the network that is descended.

    Raises
    ------
    ValueError
        If the network does not offer the features or the hidden layer.
    """

    def __init__(
        self,
        model: nn.Module,
        parameters: Sequence[nn.Parameter],
        optimizer: Optimizer,
        *,
        plan: Plan,
        targets: Targets,
        internal: bool,
        feedback: bool,
        seed: int = 0,
        penalties: Sequence[Penalty] = NO_PENALTIES,
        clip_norm: float | None = None,
    ) -> None:
        self._model = model
        self._network = split(model, internal=internal)
        self._internal = internal
        self._optimizer = optimizer
        self._plan = plan
        self._targets = targets
        self._feedback = feedback
        self._penalties = tuple(penalties)
        self._clip_norm = clip_norm
        self._gradients = GradientRows(parameters)
        self._front = list(self._network.front())
        self._rng = torch.Generator().manual_seed(seed)
        self._generator: Generator | None = None
        self._past: Past | None = None
        self._domain: str | None = None
        self._learned = False

    @property
    def domain(self) -> str | None:
        """The domain that is being learned, if :meth:`begin_domain` named one."""
        return self._domain

    def begin_domain(self, name: str) -> None:
        """Say that the samples that follow are of a domain; what was learned before is replayed from now on."""
        if name != self._domain:
            self._consolidate()
        self._domain = name

    def end_domain(self, memory: Mapping[str, Batch]) -> None:
        """Keep network and generator as they are now, to replay from."""
        self._consolidate()
        for penalty in self._penalties:
            penalty.end_domain(self._model, memory)
        self._domain = None

    def observe(self, batch: Batch, memory: Mapping[str, Batch]) -> StepReport:  # noqa: ARG002 - nothing is kept
        """Take one step.

        Parameters
        ----------
        batch : Batch
            New samples, at least one; as many are generated.
        memory : mapping of str to Batch
            Not looked at.

        Raises
        ------
        DivergedError
            If a loss or gradient is not finite; no parameter has changed then.
        ValueError
            If the batch is empty, or its samples have another shape than
            those before.
        """
        if not len(batch):
            msg = "a step needs at least one new sample"
            raise ValueError(msg)
        self._model.eval()
        with torch.no_grad() if self._internal else torch.enable_grad():
            content = self._network.features(batch.images)
        if not all(bool(torch.isfinite(level).all()) for level in content):
            msg = "the new samples or their features are not finite"
            raise DivergedError(msg)
        name = self._domain or ""
        generator = self._prepared(content, batch, name)
        index = generator.contexts.domains.index(name)
        replayed = self._replay(len(batch))
        share = self._share(name)

        joined = content if replayed is None else _join(content, replayed.content)
        logits, hidden = self._network.classify(joined)
        count = len(batch)
        new = self._targets.new(logits[:count], batch.targets, generator.contexts, index).mean()
        total = share * new
        reported = {}
        if replayed is not None:
            assert self._past is not None
            past = self._targets.replayed(
                logits[count:], replayed.said, self._past.generator.contexts, replayed.domains
            ).mean()
            total = total + (1.0 - share) * past
            reported[GENERATED] = float(past.detach())
        classes = functional.one_hot(_classes(batch.targets), generator.contexts.classes).to(logits.dtype)
        domains = torch.full((count,), index)
        elbo = generator.elbo(
            joined,
            hidden if self._feedback else None,
            domains if replayed is None else torch.cat([domains, replayed.domains]),
            classes if replayed is None else torch.cat([classes, replayed.classes]),
            self._rng,
        )
        total = total + self._plan.config.weight * self._generative_loss(elbo, count, share)
        norm, penalty, gradient = self._descend(total, generator, batch, logits[:count])
        if not (math.isfinite(norm) and all(map(math.isfinite, [float(total.detach()), penalty]))):
            msg = f"loss {float(total.detach()):.3g} with gradient norm {norm:.3g} is not finite"
            raise DivergedError(msg)
        self._install(gradient.sum(dim=0), norm)
        self._optimizer.step()
        generator.optimizer.step()
        generator.contexts.see(name, _classes(batch.targets))
        self._learned = True
        for part in self._penalties:
            part.after_step(self._model, gradient[0])
        return StepReport(
            loss=float(new.detach()),
            memory_losses=reported,
            gradient_norm=norm,
            penalty=penalty,
            samples=len(joined[0]),
        )

    def _prepared(self, content: Content, batch: Batch, name: str) -> Generator:
        """Return the generator with room for a domain; it is made from the first content."""
        if self._generator is None:
            with torch.no_grad():
                logits, hidden = self._network.classify(tuple(level[:1] for level in content))
            if self._feedback and hidden is None:
                msg = f"{type(self._model).__name__} shows no hidden layer to encode from; set feedback to false"
                raise ValueError(msg)
            units = hidden.shape[1] if self._feedback and hidden is not None else None
            # Of a frame, whether it shows a defect is known; of a label, the class.
            classes = 2 if batch.targets.ndim == _MASKS else logits.shape[1]
            example = tuple(level.detach() for level in content)
            self._generator = Generator(self._plan, example, units, classes)
        self._generator.enter(name, self._rng)
        return self._generator

    def _replay(self, count: int) -> Replayed | None:
        """Generate samples from the past, and have the network of the past judge them."""
        if self._past is None:
            return None
        generator = self._past.generator
        domains, drawn = generator.contexts.draw(count, self._rng)
        device = next(self._model.parameters()).device
        classes = functional.one_hot(drawn, generator.contexts.classes).float().to(device)
        content = generator.generate(domains, classes, self._rng)
        with torch.no_grad():
            said = self._past.network.classify(content).logits
            if said.ndim == classes.ndim:
                # By what the network says of it, as the paper has it, not by what it was drawn for.
                classes = self._targets.classes(self._targets.teacher(said, generator.contexts, domains))
        return Replayed(content, domains, classes, said)

    def _share(self, name: str) -> float:
        """Return what new samples weigh: one domain of those that there have been."""
        if self._past is None:
            return 1.0
        return 1.0 / len({*self._past.generator.contexts.domains, name})

    def _generative_loss(self, elbo: Elbo, count: int, share: float) -> Tensor:
        each = elbo.reconstruction + self._plan.config.latent_weight * elbo.latent
        if len(each) == count:
            return each.mean()
        return share * each[:count].mean() + (1.0 - share) * each[count:].mean()

    def _descend(
        self, total: Tensor, generator: Generator, batch: Batch, logits: Tensor
    ) -> tuple[float, float, Tensor]:
        """Return the gradient's norm, the penalties' loss, and the gradients (2, P) without them and of them."""
        self._gradients.reset(2)
        self._gradients.collect_into(0)
        generator.optimizer.zero_grad()
        torch.autograd.backward(total, retain_graph=bool(self._penalties))
        penalty = 0.0
        if self._penalties:
            extra = torch.stack([part.loss(self._model, batch, logits) for part in self._penalties]).sum()
            self._gradients.collect_into(1)
            torch.autograd.backward(extra)
            penalty = float(extra.detach())
        rows = self._gradients.rows(2)
        made = [p.grad for p in generator.net.parameters() if p.grad is not None]
        norms = [torch.linalg.vector_norm(g) for g in (rows.sum(dim=0), *made)]
        if not all(bool(torch.isfinite(norm)) for norm in norms):
            return math.nan, penalty, rows
        return float(norms[0]), penalty, rows

    def _install(self, gradient: Tensor, norm: float) -> None:
        if self._clip_norm is not None and norm > self._clip_norm:
            gradient = gradient * (self._clip_norm / norm)
        self._gradients.install(gradient)
        for parameter in self._front:
            parameter.grad = None  # not zero: an optimiser with weight decay would move it

    def _consolidate(self) -> None:
        if self._generator is None or not self._learned:
            return
        model = copy.deepcopy(self._model).requires_grad_(requires_grad=False).eval()
        for parameter in model.parameters():
            parameter.grad = None
        self._past = Past(model, split(model, internal=self._internal), self._generator.frozen())
        self._learned = False

    def state(self) -> State:
        """Return what must survive a restart: weights, gates and random state, and no sample."""
        parts = {f"penalty-{i}": penalty.state() for i, penalty in enumerate(self._penalties)}
        if self._generator is not None:
            parts["generator"] = self._generator.state()
        if self._past is not None:
            weights = {name: t.detach().cpu().clone() for name, t in self._past.model.state_dict().items()}
            parts |= {"past-model": State(weights), "past-generator": self._past.generator.state()}
        joined = State.join(parts)
        return State(
            {**joined.tensors, "rng": self._rng.get_state()},
            {"domain": self._domain, "learned": self._learned, "parts": joined.values},
        )

    def restore(self, state: State) -> None:
        """Take over what :meth:`state` returned.

        Raises
        ------
        RuntimeError
            If it is of another network or of other settings.
        """
        values = state.values
        parts = State(state.tensors, values["parts"])
        device = next(self._model.parameters()).device
        self._domain, self._learned = values["domain"], values["learned"]
        self._rng.set_state(state.tensors["rng"].cpu())
        self._generator = self._past = None
        if "generator" in values["parts"]:
            self._generator = self._restored(parts.part("generator"), device)
        if "past-model" in values["parts"]:
            model = copy.deepcopy(self._model).requires_grad_(requires_grad=False).eval()
            model.load_state_dict(dict(parts.part("past-model").tensors), strict=True)
            frozen = self._restored(parts.part("past-generator"), device).frozen()
            self._past = Past(model, split(model, internal=self._internal), frozen)
        for i, penalty in enumerate(self._penalties):
            penalty.restore(parts.part(f"penalty-{i}"))

    def _restored(self, state: State, device: torch.device) -> Generator:
        generator = Generator.of_values(self._plan, state.values, device)
        generator.load(state)
        return generator


def _classes(targets: Tensor) -> Tensor:
    """Return the class of each sample: of masks, whether a defect is shown."""
    return (targets > 0).flatten(1).any(dim=1).long() if targets.ndim == _MASKS else targets


def _join(new: Content, replayed: Content) -> Content:
    return tuple(torch.cat(levels) for levels in zip(new, replayed, strict=True))
