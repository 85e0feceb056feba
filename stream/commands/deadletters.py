"""``weldstream deadletters``: look at dead letters and send them back."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from stream.commands.settings import CommandSettings
from stream.dead_letter_log import Select, list_letters, requeue_letters

app = typer.Typer(help="Records that could not be processed.", no_args_is_help=True)

Reason = Annotated[str | None, typer.Option(help="Only letters of this reason, for example bad_payload.")]


def _selection(reason: str | None, place: str | None = None) -> Select:
    return lambda stored: (
        (reason is None or stored.letter.reason == reason) and (place is None or stored.place == place)
    )


@app.command("list")
def list_command(reason: Reason = None, limit: Annotated[int, typer.Option(min=1, help="Most letters.")] = 50) -> None:
    """Show the newest dead letters."""
    letters = asyncio.run(list_letters(CommandSettings().kafka, _selection(reason), limit))
    table = Table("letter", "failed at", "reason", "message", "attempts", "from")
    for stored in letters:
        letter = stored.letter
        table.add_row(
            stored.place,
            letter.failed_at.isoformat(timespec="seconds"),
            letter.reason,
            letter.message,
            str(letter.attempts),
            f"{letter.topic} {letter.partition}:{letter.offset}",
        )
    Console().print(table if letters else "no dead letters")


@app.command("requeue")
def requeue_command(
    offset: Annotated[str | None, typer.Option(help="The letter to send back, as partition:offset.")] = None,
    reason: Reason = None,
    everything: Annotated[bool, typer.Option("--all", help="Send all of them back.")] = False,
) -> None:
    """Send records back to their own topics; the letters stay listed."""
    if sum((offset is not None, reason is not None, everything)) != 1:
        raise typer.BadParameter("say which letters: --offset, --reason or --all")
    sent, refused = asyncio.run(requeue_letters(CommandSettings().kafka, _selection(reason, offset)))
    typer.echo(f"{sent} records sent back" + (f", {refused} empty ones left" if refused else ""))
    if not sent:
        raise typer.Exit(1)
