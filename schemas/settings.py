"""Settings that several processes share; each process nests what it needs in one settings class of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from schemas.secret_files import SECRETS_DIR, SecretFiles, chosen_folder
from schemas.topics import Topic

ENV_PREFIX = "WELDSTREAM_"


class Section(BaseModel):
    """Base of every nested group of settings."""

    # What was given is not repeated in errors: a section may hold a password.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ProcessSettings(BaseSettings):
    """Base of the one settings class that each process builds in its ``main``.

    Read from variables named ``WELDSTREAM_<SECTION>__<FIELD>``, and from files
    of the same names in the folder that ``WELDSTREAM_SECRETS_DIR`` names, if
    any; a variable comes before a file.

    Raises
    ------
    PrerequisiteError
        If that folder is named and does not exist, or a file of it cannot be read.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    secrets_dir: Path | None = Field(
        None,
        description="Folder of files that are named like these variables, each with a value: for passwords.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least that is logged; DEBUG also shows what the Kafka and HTTP libraries say."
    )
    crash_at: str = Field(
        "",
        description="For tests of faults: name:n ends the process with SIGKILL when it comes there for the n-th time.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - none is read
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - knows no sections
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments, then variables, then the files of secrets."""
        folder = chosen_folder(init_settings(), f"{ENV_PREFIX}{SECRETS_DIR}")
        files = () if folder is None else (SecretFiles(settings_cls, folder),)
        return (init_settings, env_settings, *files)


class KafkaSettings(Section):
    """Where Kafka is and how to speak to it."""

    bootstrap_servers: str = Field("127.0.0.1:9092", description="Comma-separated host:port list.")
    topic_prefix: str = Field("weldstream.", description="Put before every topic name.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Protocol towards the brokers."
    )
    sasl_username: str | None = Field(None, description="SCRAM-SHA-512 user.")
    sasl_password: SecretStr | None = Field(None, description="SCRAM-SHA-512 password.")
    ca_file: str | None = Field(
        None, description="PEM file of the certificate authority; the system's authorities by default."
    )
    compression: Literal["none", "lz4", "zstd"] = Field("none", description="Compression of what is produced.")
    replication_factor: Annotated[int, Field(ge=1)] = Field(1, description="Of topics created here.")

    def topic(self, topic: Topic) -> str:
        """Return the full name of a topic in this deployment."""
        return f"{self.topic_prefix}{topic.name}"


class RedisSettings(Section):
    """Where Redis is."""

    url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"), description="redis:// URL, or rediss:// for TLS, which names the host."
    )
    username: str | None = Field(None, description="ACL user, where the URL names none.")
    password: SecretStr | None = Field(None, description="Password, where the URL has none.")
    ca_file: str | None = Field(
        None, description="PEM file of a certificate authority that is trusted beside the system's."
    )
    key_prefix: str = Field("weldstream:", description="Put before every key.")


class RegistrySettings(Section):
    """Where model artifacts are."""

    uri: str = Field(".weldstream/registry", description="Folder or fsspec URL (s3://bucket/path).")
    options: Mapping[str, Any] = Field(default_factory=dict, description="JSON passed to the fsspec file system.")
    model_name: str = Field("weld", description="The model line that is trained and served.")
    signatures: Literal["required", "off"] = Field(
        "required", description="Whether versions and announcements must be signed; off serves whatever is announced."
    )
    signing_key: Path | None = Field(
        None, description="PEM file of the private Ed25519 key; only for who publishes: the learner and operators."
    )
    trusted_keys: tuple[Path, ...] = Field(
        (), description="JSON list of PEM files of the public keys whose signatures count; several while keys rotate."
    )


class HttpSettings(Section):
    """Health and metrics endpoint."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8000, description="Port; 0 takes a free one.")
