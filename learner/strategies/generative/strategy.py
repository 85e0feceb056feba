"""One step with generated samples in the place of stored ones."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from learner.state import State
from learner.strategies.batch import Batch, StepReport
from learner.strategies.composite import DivergedError
from learner.strategies.generative.autoencoder import Content, Elbo
from learner.strategies.generative.generator import Generator, Plan
from learner.strategies.generative.networks import split
from learner.strategies.generative.past import Past
from learner.strategies.generative.targets import Targets
from learner.strategies.gradients import GradientRows, flatten
from learner.strategies.parts import Anchor, Optimizer

GENERATED = "generated"
"""Name under which a step reports the loss of what was replayed."""

_MASKS = 3
"""Dimensions of a batch of masks."""


class GenerativeStrategy:
    """Learns new samples beside generated ones; no sample is ever kept, and the memory is not looked at.

    Beside the network there are a generator and, from the end of the first
    domain on, a copy of both: a step costs the same however many
    domains there have been; ``benchmarks/step_times.py`` tells how many plain
    steps that is.

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
    anchors : mapping of str to Anchor
        Penalties on the network's parameters, by name.
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
        anchors: Mapping[str, Anchor] | None = None,
        clip_norm: float | None = None,
    ) -> None:
        self._model = model
        self._network = split(model, internal=internal)
        self._internal = internal
        self._optimizer = optimizer
        self._plan = plan
        self._targets = targets
        self._feedback = feedback
        self._anchors = dict(anchors or {})
        self._clip_norm = clip_norm
        self._parameters = tuple(parameters)
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
        samples = [batch for batch in memory.values() if len(batch)]
        for anchor in self._anchors.values():
            anchor.end_domain(samples)
        self._domain = None

    def watch(self, batch: Batch, domain: str) -> float:
        """Teach the generator alone, as after a first model was trained on samples that no step has seen.

        Parameters
        ----------
        batch : Batch
            Samples of a domain, at least one.
        domain : str
            Which; it need not be the one that is being learned.

        Returns
        -------
        float
            The generator's loss.

        Raises
        ------
        DivergedError
            If it is not finite; no parameter has changed then.
        """
        self._model.eval()
        with torch.no_grad():
            content = self._features(batch)
            hidden = self._network.classify(content).hidden
        generator = self._prepared(content, batch, domain)
        domains = torch.full((len(batch),), generator.contexts.domains.index(domain))
        classes = functional.one_hot(_classes(batch.targets), generator.contexts.classes).float()
        elbo = generator.elbo(content, hidden if self._feedback else None, domains, classes, self._rng)
        loss = self._generative_loss(elbo, len(batch), 1.0)
        generator.optimizer.zero_grad()
        torch.autograd.backward(loss)
        if not (math.isfinite(float(loss.detach())) and math.isfinite(_norm(generator))):
            msg = f"the generator's loss {float(loss.detach()):.3g} or its gradient is not finite"
            raise DivergedError(msg)
        generator.optimizer.step()
        generator.contexts.see(domain, _classes(batch.targets))
        self._learned = True
        return float(loss.detach())

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
        content = self._features(batch)
        name = self._domain or ""
        generator = self._prepared(content, batch, name)
        index = generator.contexts.domains.index(name)
        if self._past is None and any(domain != index for domain, _ in generator.contexts.pairs):
            self._consolidate()  # what was watched before the first step is past
        replayed = self._past.replay(len(batch), self._targets, self._rng) if self._past else None
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
        unpulled = self._backward(total, generator)
        before = flatten(self._parameters) if self._anchors else None
        pulls = [] if before is None else [p for a in self._anchors.values() if (p := a.pull(before)) is not None]
        penalty = sum(float(pull.value) for pull in pulls)
        gradient = unpulled
        for pull in pulls:
            gradient = gradient + pull.gradient
        norm = float(torch.linalg.vector_norm(gradient))
        if not all(map(math.isfinite, (norm, penalty, float(total.detach()), _norm(generator)))):
            msg = f"loss {float(total.detach()):.3g} with gradient norm {norm:.3g} is not finite"
            raise DivergedError(msg)
        self._install(gradient, norm)
        self._optimizer.step()
        generator.optimizer.step()
        generator.contexts.see(name, _classes(batch.targets))
        self._learned = True
        if before is not None:
            after = flatten(self._parameters)
            for anchor in self._anchors.values():
                if anchor.follows_steps:
                    anchor.after_step(before, after, unpulled)
        return StepReport(
            loss=float(new.detach()),
            memory_losses=reported,
            gradient_norm=norm,
            penalty=penalty,
            samples=len(joined[0]),
        )

    def _features(self, batch: Batch) -> Content:
        """Return what would be replayed of new samples."""
        with torch.no_grad() if self._internal else torch.enable_grad():
            content = self._network.features(batch.images)
        if not all(bool(torch.isfinite(level).all()) for level in content):
            msg = "the new samples or their features are not finite"
            raise DivergedError(msg)
        return content

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

    def _backward(self, total: Tensor, generator: Generator) -> Tensor:
        """Return the gradient (P,) of the network's parameters, and leave the generator's with it."""
        row = self._gradients.reset(1)[0]
        self._gradients.collect_into(0)
        generator.optimizer.zero_grad()
        torch.autograd.backward(total)
        return row

    def _install(self, gradient: Tensor, norm: float) -> None:
        if self._clip_norm is not None and norm > self._clip_norm:
            gradient = gradient * (self._clip_norm / norm)
        self._gradients.install(gradient)
        for parameter in self._front:
            parameter.grad = None  # not zero: an optimiser with weight decay would move it

    def _consolidate(self) -> None:
        if self._generator is None or not self._learned:
            return
        self._past = Past.of(self._model, self._generator, internal=self._internal)
        self._learned = False

    def state(self) -> State:
        """Return what must survive a restart: weights, gates and random state, and no sample."""
        parts = {name: anchor.state() for name, anchor in self._anchors.items()}
        if self._generator is not None:
            parts["generator"] = self._generator.state()
        if self._past is not None:
            parts |= {"past-model": self._past.weights(), "past-generator": self._past.generator.state()}
        joined = State.join(parts)
        return State(
            {**{name: t.detach().cpu().clone() for name, t in joined.tensors.items()}, "rng": self._rng.get_state()},
            {"domain": self._domain, "learned": self._learned, "parts": joined.values},
        )

    def restore(self, state: State) -> None:
        """Take over what :meth:`state` returned.

        A strategy may be changed between two runs: of the state of another
        kind the domain is taken, and generating begins here.

        Raises
        ------
        RuntimeError
            If it is of another network or of a generator of other settings.
        """
        device = self._parameters[0].device
        parts = State({name: t.to(device) for name, t in state.tensors.items()}, state.values["parts"])
        self._domain, self._learned = state.values["domain"], bool(state.values.get("learned"))
        if "rng" in state.tensors:
            self._rng.set_state(state.tensors["rng"].cpu())
        self._generator = self._past = None
        if "generator" in parts.values:
            self._generator = self._restored(parts.part("generator"), device)
        if "past-model" in parts.values:
            generator = self._restored(parts.part("past-generator"), device)
            self._past = Past.of(self._model, generator, internal=self._internal)
            self._past.model.load_state_dict(dict(parts.part("past-model").tensors), strict=True)
        for name, anchor in self._anchors.items():
            if name in parts.values:
                anchor.restore(parts.part(name))

    def _restored(self, state: State, device: torch.device) -> Generator:
        generator = Generator.of_values(self._plan, state.values, device)
        generator.load(state)
        return generator


def _norm(generator: Generator) -> float:
    """Return the norm of the gradient of a generator's parameters."""
    gradients = [p.grad for p in generator.net.parameters() if p.grad is not None]
    return float(torch.stack([torch.linalg.vector_norm(g) for g in gradients]).norm())


def _classes(targets: Tensor) -> Tensor:
    """Return the class of each sample: of masks, whether a defect is shown."""
    return (targets > 0).flatten(1).any(dim=1).long() if targets.ndim == _MASKS else targets


def _join(new: Content, replayed: Content) -> Content:
    return tuple(torch.cat(levels) for levels in zip(new, replayed, strict=True))
