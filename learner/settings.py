"""Everything that can be set of the learner process."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from learner.model import ModelConfig
from learner.release_gate import GateConfig
from learner.strategies import StrategyConfig
from learner.strategies.replay import ReplayConfig
from learner.trainer import TrainerConfig
from memory.admission import AdmissionPolicy
from memory.descriptors import Choice
from memory.descriptors import Field as DescriptorField
from schemas.classes import ClassTable
from schemas.settings import HttpSettings, KafkaSettings, ProcessSettings, RedisSettings, RegistrySettings, Section

MIB = 1024 * 1024
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class IntakeSettings(Section):
    """How labels are read."""

    group_id: str = Field("weldstream-learner", min_length=1, description="Kafka consumer group; shows the lag.")
    max_label_bytes: Count = Field(4 * MIB, description="Largest label with all that it carries.")
    max_frame_bytes: Count = Field(4 * MIB, description="Largest image of a label, encoded.")
    max_frame_pixels: Count = Field(4 * MIB, description="Most pixels of a label's frame.")
    max_pending: Count = Field(256, description="Labels that wait to be learned before fetching pauses.")
    known_labels: Count = Field(20_000, description="Newest label ids remembered against repetitions.")


class HoldoutSettings(Section):
    """Which labels are never trained on."""

    share: Fraction = Field(0.2, description="Share of each domain that is held out.")
    unit: Literal["weld", "label"] = Field(
        "weld", description="Whole welds are held out, or single labels where a domain has few welds."
    )
    seed: int = Field(0, description="Seed of the choice.")


class MemorySettings(Section):
    """Bounds of what is kept, and where."""

    store: Literal["redis", "process"] = Field(
        "redis",
        description="Where labelled scans are: in Redis, with a golden set in the registry; or in the memory of the "
        "learner alone, which then writes no scan anywhere and reads the labels topic again when it starts.",
    )
    samples: Count = Field(1000, description="Samples kept for rehearsal, over all domains.")
    bytes: Count = Field(512 * MIB, description="Bytes of them.")
    validation_samples: Count = Field(128, description="Held-out samples kept, over all domains.")
    validation_bytes: Count = Field(64 * MIB, description="Bytes of them.")
    seed: int = Field(0, description="Seed of the admissions.")
    policy: AdmissionPolicy = Field(
        "reservoir",
        description="Which samples of a domain are kept: a uniform sample, as many of each class, the newest, "
        "or those that cover what an untrained encoder tells apart.",
    )
    share_by: tuple[DescriptorField, ...] = Field(
        (),
        description="Fields of the task descriptor (procedure, probe, frequency, material) whose values have equal "
        "parts of the memory, each shared by its domains.",
    )


class DomainSettings(Section):
    """What counts as a domain of its own."""

    gain_step_db: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Gains that round to other multiples of this step are other domains; by default none are."
    )
    drift: bool = Field(
        default=True,
        description="Open a new domain where labels of one descriptor change: what they show, or how wrong what "
        "served was.",
    )
    drift_block: Count = Field(8, description="Labels of a descriptor that are averaged before they are compared.")
    drift_warmup: Annotated[int, Field(ge=2)] = Field(
        8, description="Blocks that tell how much blocks of a descriptor differ without a change."
    )
    drift_tolerance: Annotated[float, Field(ge=0)] = Field(
        0.75, description="Deviations between blocks that are no change, however long they last."
    )
    drift_threshold: Annotated[float, Field(gt=0)] = Field(
        9.0, description="Sum of the deviations beyond that which is a change; higher finds it later and more surely."
    )


class TrainingSettings(Section):
    """How labels are learned."""

    labels_per_step: Count = Field(8, description="Most new labels learned together.")
    batch_size: Count = Field(8, description="Samples of the current domain in a step: new ones first.")
    replay_per_domain: Annotated[int, Field(ge=0)] = Field(
        3,
        description="Samples of each past domain in a step, in each draw where a strategy draws twice, as DER++ does.",
    )
    past_domains: Choice = Field(
        "all",
        description="Which past domains take part in a step: all, or those whose task descriptors are most similar "
        "to the current one's or most different.",
    )
    most_past_domains: Count = Field(8, description="How many of them, where not all take part.")
    steps_per_label: Annotated[float, Field(gt=0)] = Field(
        0.25, description="Steps for each new label; at least one for each group."
    )
    idle_steps_per_label: Annotated[float, Field(ge=0)] = Field(
        2.0, description="Further rehearsal steps each label pays for while no new one waits."
    )
    threads: Count = Field(1, description="Threads of torch.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where the network learns.")
    deterministic: bool = Field(
        default=False,
        description="The same labels give the same weights bit for bit, however often the learner is killed: "
        "groups are made by count and never by time. Needs the CPU and a labels topic of one partition.",
    )
    most_divergences: Annotated[int, Field(ge=0)] = Field(
        3, description="Batches quarantined between two checkpoints before the process gives up."
    )

    @model_validator(mode="after")
    def _deterministic_on_the_cpu(self) -> Self:
        if self.deterministic and self.device != "cpu":
            msg = "training.deterministic needs training.device=cpu: other devices add in an order of their own"
            raise ValueError(msg)
        return self


class ReleaseSettings(Section):
    """When a candidate is made."""

    labels: Count = Field(16, description="Labels learned since the last attempt.")
    seconds: Annotated[float, Field(gt=0)] = Field(
        4.0, description="Or seconds since the last attempt, with a label learned."
    )
    fallbacks: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (0.5, 0.25),
        description="Shares of the way from the serving weights to a candidate's at which another is judged, one after "
        "the other, where the whole candidate is refused.",
    )
    parity_frames: Count = Field(2, description="Frames on which torch and onnxruntime must agree.")
    rollback_window: Count = Field(
        16, description="Newest labels on which what served is compared with the version before."
    )
    rollback_margin: Fraction = Field(0.1, description="How much worse its Dice may be there.")


class EvaluationSettings(Section):
    """How many samples the gate judges; all of them should take about a second."""

    golden: Annotated[int, Field(ge=0)] = Field(16, description="Samples of the golden set.")
    newest: Annotated[int, Field(ge=0)] = Field(8, description="Newest labels held out.")
    past_per_domain: Annotated[int, Field(ge=0)] = Field(6, description="Held-out samples of each past domain.")


class LeadershipSettings(Section):
    """Which of several learners of one model is active."""

    seconds: Annotated[float, Field(gt=0)] = Field(
        10.0, description="A stand-by takes over when the active learner has been silent for so long."
    )


class InspectorSettings(Section):
    """When an inspector's labels are set aside until a person has looked at them."""

    quarantine: bool = Field(
        default=True,
        description="Set labels aside that disagree with what was served where other inspectors agree with it, or "
        "that undo what the others' labels teach.",
    )
    window_welds: Count = Field(12, description="Newest welds of each inspector and domain that are compared.")
    least_welds: Annotated[int, Field(ge=2)] = Field(
        4, description="Welds that an inspector, and all others together, must have labelled before they are compared."
    )
    margin: Fraction = Field(0.3, description="How much lower the mean Dice with what was served may be.")
    significance: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.001, description="Largest p-value of Welch's test at which a lower Dice is no chance."
    )
    conflict_labels: Count = Field(
        8, description="The gradient of every so manieth label of an inspector is compared with that of the others'."
    )
    conflict_samples: Count = Field(8, description="Remembered samples of others that it is compared with.")
    conflict_margin: Fraction = Field(
        0.4, description="How much larger the share of welds that pull against the others' labels may be."
    )
    conflict_significance: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.005, description="Largest p-value of Fisher's exact test at which a larger share is no chance."
    )


class CheckpointSettings(Section):
    """Where training state is kept."""

    folder: Path = Field(Path(".weldstream/learner"), description="Folder of checkpoints and of cached models.")
    every_labels: Count = Field(32, description="Labels learned between checkpoints, beside one at each release.")
    keep: Count = Field(3, description="Checkpoints kept.")


class BootstrapSettings(Section):
    """How the first model is trained."""

    labels: Count = Field(64, description="Labels, held-out ones too, after which the first model is trained.")
    seconds: Annotated[float, Field(gt=0)] = Field(80.0, description="Longest training.")
    steps: Count = Field(300, description="Most steps.")
    batch_size: Count = Field(8, description="Crops in a step.")
    cache_dir: Path | None = Field(
        None, description="Where first models are kept; weldstream/first-model in the user's cache folder by default."
    )


class LearnerSettings(ProcessSettings):
    """Settings of ``python -m learner.app``."""

    kafka: KafkaSettings = Field(default_factory=KafkaSettings, description="Kafka.")
    redis: RedisSettings = Field(default_factory=RedisSettings, description="Redis.")
    registry: RegistrySettings = Field(default_factory=RegistrySettings, description="Model registry.")
    http: HttpSettings = Field(default_factory=HttpSettings, description="Health and metrics endpoint.")
    classes: ClassTable = Field(default_factory=ClassTable, description="Classes of the deployment.")
    model: ModelConfig = Field(default_factory=ModelConfig, description="The network.")
    strategy: StrategyConfig = Field(default_factory=ReplayConfig, description="How a step is made.")
    trainer: TrainerConfig = Field(default_factory=TrainerConfig, description="Rates, loss and crops.")
    intake: IntakeSettings = Field(default_factory=IntakeSettings, description="How labels are read.")
    holdout: HoldoutSettings = Field(default_factory=HoldoutSettings, description="What is never trained on.")
    memory: MemorySettings = Field(default_factory=MemorySettings, description="Bounds of the memories.")
    domains: DomainSettings = Field(default_factory=DomainSettings, description="What counts as a domain of its own.")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="How labels are learned.")
    release: ReleaseSettings = Field(default_factory=ReleaseSettings, description="When a candidate is made.")
    gate: GateConfig = Field(default_factory=GateConfig, description="When a candidate is refused.")
    evaluation: EvaluationSettings = Field(default_factory=EvaluationSettings, description="What the gate judges.")
    inspectors: InspectorSettings = Field(default_factory=InspectorSettings, description="Whose labels are learned.")
    leadership: LeadershipSettings = Field(default_factory=LeadershipSettings, description="Active or stand-by.")
    checkpoint: CheckpointSettings = Field(default_factory=CheckpointSettings, description="Where state is kept.")
    bootstrap: BootstrapSettings = Field(default_factory=BootstrapSettings, description="The first model.")
    seed: int = Field(0, description="Seed of weights, crops and draws.")

    @model_validator(mode="after")
    def _first_model_fits_the_queue(self) -> Self:
        if self.bootstrap.labels > self.intake.max_pending:
            msg = "bootstrap.labels must not exceed intake.max_pending: fetching would pause before the first model"
            raise ValueError(msg)
        return self
