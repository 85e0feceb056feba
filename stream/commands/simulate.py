"""``weldstream simulate``: publish simulated scans."""

import asyncio
from typing import Annotated

import typer

from stream.commands.publishing import publish
from stream.commands.settings import CommandSettings
from stream.simulator import DOMAINS, SimulatorSource


def simulate_command(
    welds: Annotated[int, typer.Option(min=1, help="Welds of each domain.")] = 2,
    frames: Annotated[int, typer.Option(min=1, help="Frames of each weld.")] = 32,
    domains: Annotated[int, typer.Option(min=1, max=len(DOMAINS), help="Domains, one after the other.")] = 1,
    seed: Annotated[int, typer.Option(help="The same seed gives the same frames.")] = 0,
    speed: Annotated[
        float | None, typer.Option(help="Event seconds per wall second; default: as fast as possible.")
    ] = None,
) -> None:
    """Publish simulated phased-array scans to the frames topic."""
    source = SimulatorSource(DOMAINS[:domains], seed=seed, welds=welds, frames_per_weld=frames)
    kafka = CommandSettings().kafka
    count = asyncio.run(publish(kafka, source, origin="weldstream/simulator", total=len(source), speed=speed))
    typer.echo(f"{count} simulated frames published")
