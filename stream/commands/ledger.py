"""``weldstream ledger``: the judgements as a table."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from stream.commands.settings import CommandSettings
from stream.ledger.export import export_ledger

app = typer.Typer(help="The ledger of judgements as a table.", no_args_is_help=True)


@app.callback()
def ledger() -> None:
    """Make the commands of this group subcommands, however few they are."""


@app.command("export")
def export_command(
    folder: Annotated[Path, typer.Argument(help="Where the Parquet files go.", file_okay=False)],
    weld: Annotated[str | None, typer.Option(help="Only this weld.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Only judgements made from then on, UTC.")] = None,
) -> None:
    """Add to a folder all that was judged since the last export to it.

    Ends with 1 where judgements were lost because their retention ended before they were exported.
    """
    at = None if since is None else since.replace(tzinfo=UTC)
    done = asyncio.run(export_ledger(CommandSettings().kafka, folder, weld_id=weld, since=at))
    typer.echo(f"{done.judgements} judgements and {done.passes} ended passes added to {folder}")
    if done.lost:
        typer.echo(f"{done.lost} offsets were no longer retained: export more often", err=True)
        raise typer.Exit(1)
