"""``weldstream verify`` and ``weldstream recall``: what was judged can be shown, and judged again."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def verify_command(
    weld: Annotated[str, typer.Argument(help="Weld id.")],
    rejudge: Annotated[bool, typer.Option(help="Judge retained frames again and compare bit for bit.")] = True,
) -> None:
    """Check the chain of a weld's judgements and judge its retained frames again; ends with 1 if anything differs."""
    from inference.audit import verify_weld
    from stream.commands.settings import CommandSettings

    settings = CommandSettings()
    with tempfile.TemporaryDirectory(prefix="weldstream-") as cache:
        report = asyncio.run(verify_weld(settings.kafka, settings.registry, weld, Path(cache), rejudge=rejudge))
    console = Console()
    for line in report.lines():
        console.print(line, highlight=False)
    if not report.holds:
        raise typer.Exit(1)


def recall_command(
    old: Annotated[str, typer.Option("--from", help="The version that judged, for example v12.")],
    new: Annotated[str, typer.Option("--to", help="The version to judge with now, for example v13.")],
) -> None:
    """Judge the retained frames of one version with another and list the welds whose verdict flips."""
    from inference.audit import recall
    from stream.commands.settings import CommandSettings

    settings = CommandSettings()
    numbers = (_number(old), _number(new))
    with tempfile.TemporaryDirectory(prefix="weldstream-") as cache:
        report = asyncio.run(recall(settings.kafka, settings.registry, numbers, Path(cache)))
    console = Console()
    for line in report.lines():
        console.print(line, highlight=False)


def _number(version: str) -> int:
    digits = version.removeprefix("v")
    if not digits.isdigit() or int(digits) < 1:
        raise typer.BadParameter(f"{version!r} is no version; write for example v12")
    return int(digits)
