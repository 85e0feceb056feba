"""Everything that can be set of the process that recalls."""

from typing import Annotated

from pydantic import Field

from schemas.settings import HttpSettings, KafkaSettings, ProcessSettings, RegistrySettings, Section


class RecallSettings(Section):
    """What is done after a roll-back."""

    group_id: str = Field(
        "weldstream-recaller", min_length=1, description="Kafka consumer group, and the name under which is published."
    )
    request_review: bool = Field(default=True, description="Ask inspectors for every frame whose verdict flips.")
    max_frames: Annotated[int, Field(ge=1)] = Field(
        10_000, description="Most judgements that are looked at in one round; what is left comes in the next."
    )
    rescan_seconds: Annotated[float, Field(gt=0)] = Field(
        5.0, description="First wait between looks for judgements by versions that were taken back; doubled each time."
    )
    settle_seconds: Annotated[float, Field(ge=0)] = Field(
        60.0, description="How long after a roll-back welds may still begin on what it takes back."
    )
    niceness: Annotated[int, Field(ge=0, le=19)] = Field(
        19, description="How far it stands back behind the processes that serve."
    )


class RecallerSettings(ProcessSettings):
    """Settings of ``python -m inference.recaller``."""

    kafka: KafkaSettings = Field(default_factory=KafkaSettings, description="Kafka.")
    registry: RegistrySettings = Field(default_factory=RegistrySettings, description="Model registry.")
    http: HttpSettings = Field(default_factory=HttpSettings, description="Health and metrics endpoint.")
    recall: RecallSettings = Field(default_factory=RecallSettings, description="What is done after a roll-back.")
