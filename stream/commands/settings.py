"""Settings of the commands."""

from pydantic import Field

from schemas.settings import KafkaSettings, ProcessSettings, RegistrySettings


class CommandSettings(ProcessSettings):
    """What commands read from the environment."""

    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    registry: RegistrySettings = Field(default_factory=RegistrySettings)
