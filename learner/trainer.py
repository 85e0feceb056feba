"""Trains the network: a first model on many samples, then online, batch by batch."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn.functional import avg_pool2d

from learner.averaging import follow
from learner.crops import CropConfig, Cropper, Labelled, by_domain, stored_logits
from learner.losses import LossConfig, SegmentationLoss
from learner.model import Segmenter, used_parameters
from learner.state import State
from learner.strategies import DivergedError, StepReport, StrategyConfig, make_strategy, stores_logits
from learner.strategies.batch import Batch
from learner.strategies.generative import GenerativeStrategy
from stream.preprocessing import pad_to_multiple, prepare

FIRST_MOMENT_DECAY = 0.9
_SIZE_MULTIPLE = 32
"""Sides of every network's input are multiples of it, as those of crops are; and so are all strides of logits."""


class TrainerConfig(BaseModel):
    """How the network is trained.

    Attributes
    ----------
    learning_rate, weight_decay, second_moment_decay : float
        Of AdamW while learning online. A short memory of squared gradients
        keeps the first steps in a new domain, whose gradients are larger, small.
    warmup_steps : int
        Online steps over which the rate rises to ``learning_rate`` when the
        optimiser has no memory: Adam's first steps are as long as its rate,
        whatever the gradient.
    clip_norm : float
        Longest gradient descended while learning online.
    averaging : float
        Share that the running average of the weights keeps at each online
        step. The average is what is released: it passes over the dips of the
        live network at the beginning of a domain.
    pretrain_learning_rate : float
        Largest rate for the first model; it falls to a tenth along a half cosine.
    loss, crops : LossConfig, CropConfig
        What is minimised, on what.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    second_moment_decay: Annotated[float, Field(gt=0, lt=1)] = 0.99
    warmup_steps: Annotated[int, Field(ge=1)] = 20
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.9
    pretrain_learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    loss: LossConfig = LossConfig()
    crops: CropConfig = CropConfig()


def best_device() -> torch.device:
    """Return the CUDA device if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Trainer:
    """Owns the network while it learns.

    On the CPU, the same seeds, samples and number of threads give the same
    weights bit for bit. The number of threads is the process's to set.

    Parameters
    ----------
    model : Segmenter
        Trained in place, moved to the device.
    strategy : StrategyConfig
        How a step is made.
    config : TrainerConfig
        Rates, loss and crops.
    device : torch.device
        Where; see :func:`best_device`.
    rng : numpy.random.Generator
        Of crops and of the order in pretraining.
    """

    def __init__(
        self,
        model: Segmenter,
        strategy: StrategyConfig,
        config: TrainerConfig,
        device: torch.device,
        rng: np.random.Generator,
    ) -> None:
        self._model = model.to(device)
        self._config = config
        self._rng = rng
        self._parameters = used_parameters(model, config.crops.size)
        self._optimizer = torch.optim.AdamW(
            self._parameters.values(),
            lr=config.learning_rate,
            betas=(FIRST_MOMENT_DECAY, config.second_moment_decay),
            weight_decay=config.weight_decay,
            fused=True,
        )
        self._averaged = copy.deepcopy(self._model).requires_grad_(requires_grad=False)
        self._loss = SegmentationLoss(config.loss)
        self._cropper = Cropper(config.crops, rng, device)
        self._strategy = make_strategy(
            strategy,
            self._model,
            tuple(self._parameters.values()),
            self._optimizer,
            self._loss,
            clip_norm=config.clip_norm,
        )
        self._steps = 0
        # What a strategy asks of the memory beside samples; most ask nothing. Logits and labels need a draw each.
        self._stores_logits = stores_logits(strategy)
        self._draws = 2 if self._stores_logits else 1

    @property
    def model(self) -> Segmenter:
        """The live network, in evaluation mode between calls."""
        return self._model

    @property
    def averaged(self) -> Segmenter:
        """The network with the running average of the live weights: what is judged and released."""
        return self._averaged

    @property
    def stores_logits(self) -> bool:
        """Whether the strategy rehearses what the network answered when it learned a sample."""
        return self._stores_logits

    @property
    def draws(self) -> int:
        """Independent draws of each past domain in a step; they follow each other in its samples."""
        return self._draws

    @property
    def steps(self) -> int:
        """Online steps made so far."""
        return self._steps

    def begin_domain(self, name: str) -> None:
        """Say that the samples that follow are of a domain."""
        self._strategy.begin_domain(name)

    def end_domain(self, memory: Mapping[str, Sequence[Labelled]]) -> None:
        """Consolidate the domain that was learned, with samples to do it on."""
        self._strategy.end_domain({name: self._cropper.batch(s) for name, s in memory.items() if s})

    def step(self, new: Sequence[Labelled], memory: Mapping[str, Sequence[Labelled]]) -> StepReport:
        """Take one online step; batch statistics stay as they are.

        Parameters
        ----------
        new : sequence of Labelled
            New samples, at least one; each gives one crop.
        memory : mapping of str to sequence of Labelled
            Samples of past domains drawn from the memory: each domain is
            rehearsed, or constrains the step, as the strategy says. Leave out
            the domain that is being learned, unless it is to be rehearsed too.

        Raises
        ------
        DivergedError
            If the loss is not finite; the weights are as before.
        """
        batch = self._cropper.batch(new)
        past = {name: self._cropper.batch(samples) for name, samples in memory.items() if samples}
        self._optimizer.param_groups[0]["lr"] = self._config.learning_rate * self._warm()
        report = self._strategy.observe(batch, past)
        self._steps += 1
        follow(self._averaged, self._model, self._config.averaging)
        return report

    def gradient(self, batch: Batch) -> Tensor:
        """Return the gradient (P,) of the mean loss of a batch on the live network, which stays as it is."""
        inputs = tuple(self._parameters.values())
        device = inputs[0].device
        losses = self._loss(self._model(batch.images.to(device)), batch.targets.to(device))
        return torch.cat([part.flatten() for part in torch.autograd.grad(losses.mean(), inputs)])

    def has_logits(self, sample: Labelled) -> bool:
        """Tell whether logits that this network could have made lie with a sample."""
        return stored_logits(sample, self._config.crops.logits_stride) is not None

    @torch.no_grad()
    def logits(self, samples: Sequence[Labelled]) -> list[NDArray[np.float32]]:
        """Return what the live network makes of whole frames.

        Parameters
        ----------
        samples : sequence of Labelled
            Frames (H, W), of any sizes.

        Returns
        -------
        list of NDArray[np.float32]
            Logits (K, ceil(H / s), ceil(W / s)) of each: means over s by s
            pixels, s being ``crops.logits_stride``.
        """
        stride, device = self._config.crops.logits_stride, next(iter(self._parameters.values())).device
        found = []
        for sample in samples:
            rows, columns = (-(-length // stride) for length in sample.mask.shape)
            image, _ = pad_to_multiple(prepare(sample.pixels)[None], _SIZE_MULTIPLE)
            means = avg_pool2d(self._model(torch.from_numpy(image)[None].to(device))[0], stride)
            found.append(means[:, :rows, :columns].cpu().numpy().copy())
        return found

    def pretrain(
        self,
        samples: Sequence[Labelled],
        steps: int,
        batch_size: int = 8,
        stop: Callable[[int], bool] = lambda _: False,
    ) -> list[float]:
        """Train a first model; batch statistics are learned here and only here.

        Parameters
        ----------
        samples : sequence of Labelled
            All that is known so far.
        steps : int
            Steps at most; the rate falls over them.
        batch_size : int
            Crops in a step.
        stop : callable
            Asked with the number of steps made; True ends early, which is how
            a caller keeps to a time.

        Returns
        -------
        list of float
            Mean loss of each step.

        Raises
        ------
        DivergedError
            If the loss is not finite.
        """
        parameters = list(self._parameters.values())
        for parameter in parameters:
            parameter.grad = None
        optimizer = torch.optim.AdamW(
            parameters, lr=self._config.pretrain_learning_rate, weight_decay=self._config.weight_decay, fused=True
        )
        showing = _by_class(samples)
        losses: list[float] = []
        self._model.train()
        try:
            while len(losses) < steps and not stop(len(losses)):
                progress = len(losses) / steps
                optimizer.param_groups[0]["lr"] = self._config.pretrain_learning_rate * (
                    0.1 + 0.45 * (1.0 + np.cos(np.pi * progress))
                )
                batch = self._cropper.batch(self._draw(samples, showing, batch_size))
                loss = self._loss(self._model(batch.images), batch.targets).mean()
                if not torch.isfinite(loss):
                    msg = f"loss {float(loss.detach())} at step {len(losses)} is not finite"
                    raise DivergedError(msg)
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
                losses.append(float(loss.detach()))
        finally:
            self._model.eval()
        follow(self._averaged, self._model, 0.0)
        if isinstance(self._strategy, GenerativeStrategy):
            self._teach(self._strategy, samples, len(losses) // 2, batch_size)
        return losses

    def _teach(self, strategy: GenerativeStrategy, samples: Sequence[Labelled], steps: int, batch_size: int) -> None:
        """Teach a generator what the first model was trained on: no step will show it again."""
        domains = [(domain, found, _by_class(found)) for domain, found in by_domain(samples).items()]
        for step in range(steps):
            domain, found, showing = domains[step % len(domains)]
            strategy.watch(self._cropper.batch(self._draw(found, showing, batch_size)), domain)

    def _draw(self, samples: Sequence[Labelled], showing: Sequence[Sequence[int]], count: int) -> list[Labelled]:
        """Draw frames; the configured share shows a defect, all classes as often as each other."""
        drawn = []
        for _ in range(count):
            pool: Sequence[int] = range(len(samples))
            if showing and self._rng.random() < self._config.crops.defect_share:
                pool = showing[int(self._rng.integers(len(showing)))]
            drawn.append(samples[pool[int(self._rng.integers(len(pool)))]])
        return drawn

    def _warm(self) -> float:
        """Return the share of the rate that the next step takes, by the steps in the optimiser's memory."""
        steps = next((int(slots["step"]) for slots in self._optimizer.state.values()), 0)
        return min(1.0, (steps + 1) / self._config.warmup_steps)

    def state(self) -> State:
        """Return all that the next step depends on: copies, safe to write while training goes on."""
        optimizer = self._optimizer.state_dict()["state"]
        names = list(self._parameters)
        moments = {f"{names[i]}/{key}": _copy(value) for i, slots in optimizer.items() for key, value in slots.items()}
        return State.join(
            {
                "model": State({name: _copy(t) for name, t in self._model.state_dict().items()}),
                "averaged": State({name: _copy(t) for name, t in self._averaged.state_dict().items()}),
                "optimizer": State(moments),
                "strategy": self._strategy.state(),
                "trainer": State(
                    {"torch_rng": torch.get_rng_state()},
                    {"steps": self._steps, "rng": self._rng.bit_generator.state},
                ),
            }
        )

    def restore(self, state: State) -> None:
        """Continue from a state: the next step is the one that would have followed.

        Sets torch's global random state too.

        Raises
        ------
        RuntimeError
            If the state is of another network.
        """
        self._model.load_state_dict(dict(state.part("model").tensors), strict=True)
        self._averaged.load_state_dict(dict(state.part("averaged").tensors), strict=True)
        index = {name: i for i, name in enumerate(self._parameters)}
        slots: dict[int, dict[str, Tensor]] = {}
        for key, tensor in state.part("optimizer").tensors.items():
            name, slot = key.rsplit("/", 1)
            slots.setdefault(index[name], {})[slot] = tensor.clone()
        groups: list[dict[str, Any]] = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": slots, "param_groups": groups})
        self._strategy.restore(state.part("strategy"))
        own = state.part("trainer")
        torch.set_rng_state(own.tensors["torch_rng"].cpu())
        self._steps = own.values["steps"]
        self._rng.bit_generator.state = own.values["rng"]


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().clone()


def _by_class(samples: Sequence[Labelled]) -> list[list[int]]:
    """Return for each defect class that is shown the indices of the samples that show it."""
    showing: dict[int, list[int]] = {}
    for i, sample in enumerate(samples):
        for value in np.unique(sample.mask):
            if value:
                showing.setdefault(int(value), []).append(i)
    return [showing[value] for value in sorted(showing)]
