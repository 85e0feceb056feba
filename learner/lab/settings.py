"""What a job of the laboratory is: a method on a stream from a seed, and how it is measured."""

import hashlib
import json
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from learner.lab.networks import MlpConfig, NetworkConfig
from learner.lab.streams import DigitsConfig, StreamConfig
from learner.losses import LossConfig
from learner.release_gate import GateConfig
from learner.strategies import StrategyConfig

Count = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0)]

RESULTS_VERSION = 1
"""Changes whenever the same job would give other results; older ones are then run again."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class JointConfig(_Settings):
    """All domains at once, shuffled: what could be reached if nothing had to be kept.

    Attributes
    ----------
    samples_per_step : int or None
        As many as the others pass in a step, replayed ones included; by
        default as many as they take of the stream.
    """

    kind: Literal["joint"] = "joint"
    samples_per_step: Count | None = None


class AvalancheConfig(_Settings):
    """A strategy of avalanche-lib, which the extra "avalanche" installs, in this laboratory.

    Attributes
    ----------
    strategy : str
        Its name in ``avalanche.training.supervised``, such as ``GEM``.
    options : mapping
        Its arguments, without model, optimiser, criterion, batch sizes,
        epochs and device.
    """

    kind: Literal["avalanche"] = "avalanche"
    strategy: str = "Naive"
    options: dict[str, Any] = Field(default_factory=dict)


LabStrategy: TypeAlias = JointConfig | AvalancheConfig | StrategyConfig


class MemoryConfig(_Settings):
    """What is kept of past domains.

    Attributes
    ----------
    samples : int
        In all, whatever the number of domains.
    policy : {"reservoir", "class_balanced", "domain_balanced", "ring", "diverse", "diverse_gradients"}
        Each sample ever seen with the same chance (Vitter 1985); the same
        within each class, or domain, with equal shares (Chrysakis & Moens
        2020); the newest of each domain, its share fixed from the start; a
        coreset, each domain with an equal share, of samples that are far
        from each other in what they show, or in the direction of the
        gradient that the output layer had when they came (Aljundi et al.
        2019).
    fill : {"step", "domain"}
        After each step, or at the end of each domain, with samples drawn from it.
    draw : int or None
        Samples taken for each step; None takes all.
    per_domain : bool
        Whether ``draw`` counts for each domain.
    current : bool
        Whether samples of the domain being learned are drawn too.
    draws : int
        Independent draws for each step, not told apart by domain: DER++
        replays one by its logits and another by its labels.
    logits : bool
        Keep what the network made of a sample just before it was learned.
    """

    samples: Count = 250
    policy: Literal["reservoir", "class_balanced", "domain_balanced", "ring", "diverse", "diverse_gradients"] = (
        "reservoir"
    )
    fill: Literal["step", "domain"] = "step"
    draw: Count | None = 10
    per_domain: bool = False
    current: bool = True
    draws: Annotated[int, Field(ge=1, le=2)] = 1
    logits: bool = False


class OptimizerConfig(_Settings):
    """How parameters follow gradients.

    Attributes
    ----------
    kind : {"sgd", "adam", "adamw"}
        Which optimiser.
    learning_rate, momentum, weight_decay : float
        Its arguments; momentum is SGD's.
    reset : bool
        Forget its moments when a domain begins.
    """

    kind: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: Annotated[float, Field(gt=0)] = 0.1
    momentum: NotNegative = 0.0
    weight_decay: NotNegative = 0.0
    reset: bool = False


class PanelConfig(_Settings):
    """Who labels what a method learns; what it is judged on is always true.

    Attributes
    ----------
    inspectors : int
        Each label is given by one of them.
    errors : {"by_chance", "one_inspector"}
        A share of all labels is wrong, whoever gives them; or all labels of
        the first inspector are.
    share : float
        Of wrong labels, by chance.
    compared : bool
        Compare inspectors by how they agree with what was served, as the
        learner does by default, and learn no more of one who stands against
        the others. Needs ``releases``.
    """

    inspectors: Annotated[int, Field(ge=2)] = 10
    errors: Literal["by_chance", "one_inspector"] = "by_chance"
    share: Annotated[float, Field(ge=0, lt=1)] = 0.1
    compared: bool = False


class Method(_Settings):
    """A strategy with all that it is run with.

    Attributes
    ----------
    name : str
        For people, unique in a report.
    strategy : LabStrategy
        The strategy.
    memory : MemoryConfig or None
        What it replays from or is constrained by.
    optimizer : OptimizerConfig
        Its optimiser.
    clip_norm : float or None
        Longest gradient that is descended.
    network : NetworkConfig or None
        In place of the job's, for a strategy with a network of its own.
    averaging : float
        Share that a running average of the weights keeps at each step; the
        average is what is judged, as it is what the learner releases. 0 is
        the weights themselves.
    panel : PanelConfig or None
        Who labels what it learns; None is the truth.
    """

    name: Annotated[str, Field(min_length=1)]
    strategy: LabStrategy
    memory: MemoryConfig | None = None
    optimizer: OptimizerConfig = OptimizerConfig()
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    network: NetworkConfig | None = None
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.0
    panel: PanelConfig | None = None

    @model_validator(mode="after")
    def _only_ours(self) -> Self:
        if isinstance(self.strategy, AvalancheConfig) and (self.averaging or self.panel):
            msg = f"{self.name!r} is Avalanche's, whose loop knows neither averaging nor a panel"
            raise ValueError(msg)
        if isinstance(self.strategy, JointConfig) and self.panel:
            msg = f"{self.name!r} learns all domains at once, before any panel has labelled them"
            raise ValueError(msg)
        return self


class Schedule(_Settings):
    """How samples of a domain become steps.

    Attributes
    ----------
    batch_size : int
        Samples taken of the stream in a step.
    epochs : int
        Times that a domain's samples are gone through, in another order each.
    iterations : int or None
        Steps of each domain, in place of epochs.
    steps_per_batch : int
        Steps made on each batch that arrives, with other samples of the memory each.
    shuffle : bool
        Whether samples come in an order drawn from the seed, or as they lie in the stream.
    """

    batch_size: Count = 10
    epochs: Count = 1
    iterations: Count | None = None
    steps_per_batch: Count = 1
    shuffle: bool = True


class EvaluationConfig(_Settings):
    """How the network is judged.

    Attributes
    ----------
    on : {"test", "validation"}
        Which samples.
    every : int or None
        Steps after which all domains begun are judged, within domains too.
    samples : int
        Most samples of each domain for that; the matrix is always of all.
    ahead : bool
        Judge domains before they are learned, for forward transfer.
    """

    on: Literal["test", "validation"] = "test"
    every: Count | None = None
    samples: Count = 500
    ahead: bool = True


class ReleaseConfig(_Settings):
    """What would have been served.

    Attributes
    ----------
    every : int
        Steps after which a candidate is made.
    averaging : float
        Share that the running average of the weights, which is the
        candidate, keeps at each step.
    gate : GateConfig or None
        When a candidate is refused; None releases all.
    gate_samples : int
        Most validation samples of each domain that the gate judges.
    fallbacks : tuple of float
        Shares of the way from the version that serves to a candidate that is
        refused, at which others are tried.
    regret : float or None
        How far a past domain's Dice may be, on the gate's samples, under the
        best ever released: the sum of what it lost since.
    """

    every: Count = 10
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.9
    gate: GateConfig | None = GateConfig()
    gate_samples: Count = 32
    fallbacks: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    regret: NotNegative | None = None


class Job(_Settings):
    """One run.

    Attributes
    ----------
    stream, network, method : StreamConfig, NetworkConfig, Method
        What is learned by what, and how.
    schedule, evaluation, releases : Schedule, EvaluationConfig, ReleaseConfig or None
        How samples come, how the network is judged, what is served.
    loss : LossConfig
        Of masks; classes have the cross entropy.
    augment : bool
        Mirror and scale new images of a stream of masks, as the learner does.
    seed : int
        Of the stream, its order, the first weights and the memory.
    """

    stream: StreamConfig = DigitsConfig()
    network: NetworkConfig = MlpConfig()
    method: Method
    schedule: Schedule = Schedule()
    evaluation: EvaluationConfig = EvaluationConfig()
    releases: ReleaseConfig | None = None
    loss: LossConfig = LossConfig()
    augment: bool = False
    seed: int = 0

    def digest(self, inputs: str) -> str:
        """Return what names the result: a digest of all settings and of the data that is read."""
        said: dict[str, Any] = {"version": RESULTS_VERSION, "inputs": inputs, "job": self.model_dump(mode="json")}
        # Where the data lies says nothing about them.
        said["job"]["stream"].pop("data", None)
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


class Experiment(_Settings):
    """Methods times streams times seeds.

    Attributes
    ----------
    title : str
        Heading of the report.
    streams, methods, seeds : tuples
        Each method runs on each stream from each seed.
    network, schedule, evaluation, releases, loss, augment : as of Job
        The same for all.
    """

    title: str = "Strategies side by side"
    streams: Annotated[tuple[StreamConfig, ...], Field(min_length=1)] = (DigitsConfig(),)
    methods: Annotated[tuple[Method, ...], Field(min_length=1)]
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    network: NetworkConfig = MlpConfig()
    schedule: Schedule = Schedule()
    evaluation: EvaluationConfig = EvaluationConfig()
    releases: ReleaseConfig | None = None
    loss: LossConfig = LossConfig()
    augment: bool = False

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for things in (self.methods, self.streams):
            names = [thing.name for thing in things]
            if len(set(names)) != len(names):
                msg = f"names must be unique, not {names}"
                raise ValueError(msg)
        return self

    def jobs(self) -> list[Job]:
        """Return all jobs: every stream and method of a seed before the next seed."""
        shared = {name: getattr(self, name) for name in Job.model_fields if name not in {"stream", "method", "seed"}}
        return [
            Job(stream=stream, method=method, seed=seed, **shared)
            for seed in self.seeds
            for stream in self.streams
            for method in self.methods
        ]
