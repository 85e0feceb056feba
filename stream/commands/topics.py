"""``weldstream topics``: the topics on the broker."""

import asyncio

import typer

from schemas.topics import TOPICS
from stream.commands.settings import CommandSettings
from stream.topics import ensure_topics

app = typer.Typer(help="Topics on the broker.", no_args_is_help=True)


@app.callback()
def topics() -> None:
    """Topics on the broker."""


@app.command()
def create() -> None:
    """Create the topics that are missing."""
    kafka = CommandSettings().kafka
    created = asyncio.run(ensure_topics(kafka))
    for topic in TOPICS:
        name = kafka.topic(topic)
        typer.echo(f"{'created' if name in created else 'exists':8} {name}")
