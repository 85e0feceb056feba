"""Everything that can be set of the inference process."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.classes import ClassTable
from schemas.settings import HttpSettings, KafkaSettings, ProcessSettings, RegistrySettings, Section

Fraction = Annotated[float, Field(ge=0, le=1)]


class ServingSettings(Section):
    """How frames are taken and judged."""

    role: Literal["champion", "shadow"] = Field(
        "champion", description="A shadow judges only: no alerts, no review requests, and a topic of its own."
    )
    output_suffix: str = Field("", description="Put after the name of the judgements topic; mandatory for a shadow.")
    group_id: str = Field("weldstream-inference", min_length=1, description="Kafka consumer group.")
    pinned_version: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Always serve this version and ignore releases."
    )
    swap: Literal["weld", "immediate"] = Field(
        "weld",
        description="A new version judges the welds that begin after it, or every frame from then on.",
    )
    weld_idle_seconds: Annotated[float, Field(gt=0)] = Field(
        15.0, description="A weld without a frame for so long has ended; a later frame begins a new pass."
    )
    max_live_models: Annotated[int, Field(ge=2)] = Field(
        6, description="Most versions in memory at once; a release waits while welds in progress need them all."
    )
    intra_op_threads: Annotated[int, Field(ge=1)] = Field(1, description="Threads of one model run.")
    helper_threads: Annotated[int, Field(ge=1)] = Field(2, description="Threads that decode and encode.")
    max_batch: Annotated[int, Field(ge=1, le=256)] = Field(
        8, description="Most frames that are fetched, published and committed together."
    )
    max_run: Annotated[int, Field(ge=1, le=256)] = Field(
        1, description="Most frames in one model run; more pays on several threads, on one it costs cache misses."
    )
    max_in_flight: Annotated[int, Field(ge=1)] = Field(32, description="Most frames between fetching and commit.")
    drain_seconds: Annotated[float, Field(gt=0)] = Field(30.0, description="Longest wait for frames when stopping.")
    loop_probe_seconds: Annotated[float, Field(gt=0)] = Field(
        0.02, description="How often the event loop is asked whether it turns, for the metric of its stalls."
    )
    max_frame_bytes: Annotated[int, Field(ge=1)] = Field(
        2 * 1024 * 1024,
        description="Largest payload of a frame; a review request carries it as base64 within its topic's limit.",
    )
    max_frame_pixels: Annotated[int, Field(ge=1)] = Field(4 * 1024 * 1024, description="Most pixels of a frame.")
    cache_dir: Path | None = Field(None, description="Where models are cached; a temporary folder by default.")
    warmup_rows: Annotated[int, Field(ge=1)] = Field(64, description="Rows of the frame a new model is tried on.")
    warmup_columns: Annotated[int, Field(ge=1)] = Field(64, description="Columns of that frame.")

    @model_validator(mode="after")
    def _shadow_keeps_to_itself(self) -> Self:
        if (self.role == "shadow") != bool(self.output_suffix):
            msg = "a shadow needs an output_suffix, and a champion has none: readers expect one judgement a frame"
            raise ValueError(msg)
        return self

    @property
    def group(self) -> str:
        """The consumer group really used: a shadow has one of its own, since it must see every frame."""
        return f"{self.group_id}{self.output_suffix}"


class FlaggingSettings(Section):
    """When a person is asked to look at a frame."""

    min_area_mm2: Annotated[float, Field(ge=0)] = Field(1.0, description="Smallest indication that counts as defect.")
    min_confidence: Fraction = Field(0.5, description="Lowest mean probability that counts as defect.")
    min_uncertainty: Fraction = Field(0.5, description="Frames at least this uncertain are shown.")
    audit_rate: Fraction = Field(0.02, description="Share of all other frames that is shown at random.")
    audit_seed: int = Field(0, description="Seed of the audit's choice.")
    min_region_pixels: Annotated[int, Field(ge=1)] = Field(4, description="Smaller regions are no indications.")
    window_pixels: Annotated[int, Field(ge=1)] = Field(8, description="Side of the window of the local mean entropy.")


class AlertSettings(Section):
    """When subscribers are alerted."""

    min_area_mm2: Annotated[float, Field(ge=0)] = Field(2.0, description="Smallest indication that is alerted.")
    min_confidence: Fraction = Field(0.5, description="Lowest mean probability that is alerted.")
    merge_distance_mm: Annotated[float, Field(ge=0)] = Field(
        5.0, description="Indications of a class this near to each other along a weld are one."
    )


class InferenceSettings(ProcessSettings):
    """Settings of ``python -m inference.app``."""

    kafka: KafkaSettings = Field(default_factory=KafkaSettings, description="Kafka.")
    registry: RegistrySettings = Field(default_factory=RegistrySettings, description="Model registry.")
    http: HttpSettings = Field(default_factory=HttpSettings, description="Health and metrics endpoint.")
    classes: ClassTable = Field(default_factory=ClassTable, description="Classes that a released model must have.")
    serving: ServingSettings = Field(default_factory=ServingSettings, description="How frames are judged.")
    flagging: FlaggingSettings = Field(default_factory=FlaggingSettings, description="What inspectors are asked.")
    alerts: AlertSettings = Field(default_factory=AlertSettings, description="What subscribers are told.")
