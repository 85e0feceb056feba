"""``weldstream models``: the model registry, and which version serves."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from memory.key_files import verifier_of
from memory.registry import ModelRegistry, open_registry
from memory.signing import UntrustedError, Verifier
from schemas.events import ModelReleased, ModelVersion, ReleaseKind
from schemas.settings import KafkaSettings
from schemas.topics import MODEL_RELEASES
from stream.broker import send_once
from stream.codec import encode_event
from stream.commands.settings import CommandSettings
from stream.topics import ensure_topics

app = typer.Typer(help="Model versions and which one serves.", no_args_is_help=True)

Reason = Annotated[str, typer.Option(help="Why, for people.")]


@app.command("list")
def list_command() -> None:
    """Show all versions, and whether a trusted key has signed them."""
    settings = CommandSettings().registry
    # Shown are also those that nobody would serve.
    registry = ModelRegistry(settings.uri, settings.model_name, settings.options)
    verifier = verifier_of(settings) if settings.trusted_keys or settings.signing_key else None
    serving = registry.serving()
    table = Table("version", "serves", "parent", "created", "labels", "metrics", "digest", "signature")
    for version in registry.list():
        number = version.model.version
        table.add_row(
            str(number),
            "yes" if serving is not None and serving.version.model.version == number else "",
            "" if version.parent is None else str(version.parent),
            version.created_at.isoformat(timespec="seconds"),
            str(version.labels_learned),
            ", ".join(f"{name} {value:.3g}" for name, value in version.metrics.items()),
            version.model.digest[:12],
            _signature(version, verifier),
        )
    Console().print(table if table.row_count else "no versions")


def _signature(version: ModelVersion, verifier: Verifier | None) -> str:
    if verifier is None:
        return "none" if version.signature is None else f"by {version.signature.key_id}, not verified"
    try:
        verifier.check(version)
    except UntrustedError as error:
        return error.reason
    return "good"


@app.command()
def promote(
    version: Annotated[int, typer.Argument(min=1, help="Version to serve from now on.")],
    reason: Reason = "promoted by hand",
) -> None:
    """Let a version serve from now on."""
    settings = CommandSettings()
    registry = open_registry(settings.registry, publishes=True)
    _announce(settings.kafka, registry.promote(version, ReleaseKind.RELEASE, reason))


@app.command()
def rollback(
    to: Annotated[int | None, typer.Option(min=1, help="Version; default: the one that served before.")] = None,
    reason: Reason = "rolled back by hand",
) -> None:
    """Return to an earlier version."""
    settings = CommandSettings()
    _announce(settings.kafka, open_registry(settings.registry, publishes=True).roll_back(reason, to))


@app.command()
def sign(
    versions: Annotated[list[int], typer.Argument(min=1, help="Versions that you know to be good.")],
) -> None:
    """Sign versions with your key, whoever signed them before: after a key was changed, or signatures were off."""
    registry = open_registry(CommandSettings().registry, publishes=True)
    for version in versions:
        signed = registry.vouch(version)
        assert signed.signature is not None
        typer.echo(f"version {version}, weights sha256 {signed.weights.sha256}, signed by {signed.signature.key_id}")


def _announce(kafka: KafkaSettings, release: ModelReleased) -> None:
    asyncio.run(_publish(kafka, release))
    typer.echo(f"version {release.version.model.version} announced")


async def _publish(kafka: KafkaSettings, release: ModelReleased) -> None:
    await ensure_topics(kafka, (MODEL_RELEASES,))
    name = release.version.model.name
    record = encode_event(
        kafka.topic(MODEL_RELEASES),
        MODEL_RELEASES,
        release,
        key=name,
        event_id=f"{name}-{release.sequence}",
        source="weldstream/models",
        time=release.announced_at,
    )
    await send_once(kafka, record, client_id="weldstream-models")
