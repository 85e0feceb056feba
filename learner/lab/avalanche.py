"""A strategy of avalanche-lib in this laboratory: same stream, network, batches and budget, its own training loop.

Needs the extra "avalanche"; nothing of it is imported before a job asks for it.
"""

import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from learner.lab.contestants import make_loss, make_optimizer
from learner.lab.errors import BadExperimentError
from learner.lab.networks import Mlp, learned_parameters
from learner.lab.settings import AvalancheConfig, Job
from learner.lab.streams import Stream
from schemas.errors import PrerequisiteError


class AvalancheContestant:
    """Somebody else's strategy, given whole domains.

    Its data come in the order in which ours would see them first; with
    several epochs it shuffles by itself, as its plugins expect.

    Parameters
    ----------
    job : Job
        What is run; its strategy is an :class:`~learner.lab.settings.AvalancheConfig`.
    stream : Stream
        What is learned.
    model : nn.Module
        The network.

    Raises
    ------
    PrerequisiteError
        If avalanche-lib is not installed.
    BadExperimentError
        If there is no such strategy, or the schedule is one that its loop cannot make.
    """

    def __init__(self, job: Job, stream: Stream, model: nn.Module) -> None:
        config = job.method.strategy
        assert isinstance(config, AvalancheConfig)
        if job.schedule.iterations is not None or job.schedule.steps_per_batch != 1:
            raise BadExperimentError("Avalanche's loop makes epochs of single steps: no iterations or steps_per_batch")
        if stream.scenario == "task":
            raise BadExperimentError("the adapter has one head: no task scenario")
        self._job, self._stream, self._model = job, stream, model
        self._clock = _Clock()
        self._optimizer = make_optimizer(job.method.optimizer, learned_parameters(model, stream))
        self._strategy = self._make(config)

    @property
    def model(self) -> nn.Module:
        """The network."""
        return self._model

    def learn_domain(self, index: int, order: torch.Generator) -> tuple[int, float]:
        """Learn a domain; return the steps made and the seconds that its epochs took.

        Parameters
        ----------
        index : int
            Which, from 0.
        order : torch.Generator
            Of the samples.
        """
        train = self._stream.domains[index].train
        batch = train.take(torch.randperm(len(train), generator=order))
        experience = self._experience(batch.images, batch.targets, index)
        if self._job.method.optimizer.reset:
            self._optimizer.state.clear()
        self._clock.reset()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._strategy.train(experience, num_workers=0, shuffle=self._job.schedule.epochs > 1)
        self._model.eval()
        return self._clock.steps, self._clock.seconds

    def kept_bytes(self) -> int:
        """Return the bytes of weights and moments; what plugins keep is theirs to know."""
        slots: list[Any] = [t for own in self._optimizer.state.values() for t in own.values()]
        tensors = [*self._model.state_dict().values(), *(t for t in slots if isinstance(t, Tensor))]
        return sum(int(t.nbytes) for t in tensors)

    def _make(self, config: AvalancheConfig) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            supervised = _import()
            from avalanche.evaluation.metrics import loss_metrics
            from avalanche.models.base_model import BaseModel
            from avalanche.training.plugins import EvaluationPlugin

            evaluator = EvaluationPlugin(loss_metrics(epoch=True), loggers=[])
        made = getattr(supervised, config.strategy, None)
        if made is None:
            raise BadExperimentError(f"avalanche.training.supervised has no strategy {config.strategy!r}")
        if isinstance(self._model, Mlp):
            BaseModel.register(Mlp)  # its LFL asks for the features that our network has, by its class
        loss = make_loss(self._job, self._stream)
        return made(
            model=self._model,
            optimizer=self._optimizer,
            criterion=_Mean(loss),
            train_mb_size=self._job.schedule.batch_size,
            train_epochs=self._job.schedule.epochs,
            plugins=[_plugin(self._clock)],
            evaluator=evaluator,
            **config.options,
        )

    def _experience(self, images: Tensor, targets: Tensor, index: int) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from avalanche.benchmarks import benchmark_from_datasets
            from avalanche.benchmarks.utils import DataAttribute
            from avalanche.benchmarks.utils.classification_dataset import TaskAwareSupervisedClassificationDataset
        # Its buffers sort by a class that each sample has; a mask has none, so that all share one.
        labels = targets.tolist() if targets.ndim == 1 else [0] * len(targets)
        data = TaskAwareSupervisedClassificationDataset(
            [TensorDataset(images, targets)],
            data_attributes=[
                DataAttribute(labels, "targets"),
                DataAttribute([0] * len(targets), "targets_task_labels", use_in_getitem=True),
            ],
        )
        experience = benchmark_from_datasets(train=[data]).train_stream[0]
        experience.current_experience = index
        experience.task_label, experience.task_labels = 0, [0]
        experience.classes_in_this_experience = sorted(set(labels))
        return experience


class _Mean:
    """A criterion as Avalanche wants it, of one of ours."""

    def __init__(self, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        self._loss = loss

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        return self._loss(logits, targets).mean()


class _Clock:
    """Counts steps, and the seconds of epochs: with loading, without what happens between domains."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.steps, self.seconds, self._began = 0, 0.0, 0.0

    def begin(self) -> None:
        """See an epoch begin."""
        self._began = time.perf_counter()

    def end(self) -> None:
        """See it end."""
        self.seconds += time.perf_counter() - self._began


def _plugin(clock: _Clock) -> Any:
    from avalanche.core import SupervisedPlugin

    class Timer(SupervisedPlugin):  # type: ignore[misc]
        """Tells the clock."""

        def before_training_epoch(self, *_: Any, **__: Any) -> None:
            """See an epoch begin."""
            clock.begin()

        def after_training_epoch(self, *_: Any, **__: Any) -> None:
            """See it end."""
            clock.end()

        def after_training_iteration(self, *_: Any, **__: Any) -> None:
            """Count a step."""
            clock.steps += 1

    return Timer()


def _import() -> Any:
    try:
        from avalanche.training import supervised
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "avalanche":
            raise
        raise PrerequisiteError(
            "a strategy of Avalanche needs avalanche-lib, which is not installed: pip install 'weldstream[avalanche]'"
        ) from None
    return supervised
