"""``weldstream inspectors``: whose labels are learned."""

import asyncio
import getpass
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from schemas.inspectors import InspectorStanding, Standing
from schemas.settings import KafkaSettings
from schemas.topics import INSPECTORS
from stream.broker import send_once
from stream.commands.settings import CommandSettings
from stream.inspectors import decode_standing, encode_standing
from stream.reading import partitions_of, read_to_end
from stream.topics import ensure_topics

app = typer.Typer(help="Whose labels are learned.", no_args_is_help=True)

Inspector = Annotated[str, typer.Argument(help="Inspector id, as it is in the labels.")]
Reason = Annotated[str, typer.Option(help="Why, for people.")]


@app.command("list")
def list_command() -> None:
    """Show the inspectors on whom there is a decision; all others are trusted."""
    decisions = asyncio.run(_decisions(CommandSettings().kafka))
    table = Table("inspector", "standing", "since", "decided by", "reason")
    for decision in decisions.values():
        since = decision.decided_at.isoformat(timespec="seconds")
        table.add_row(decision.inspector_id, decision.standing, since, decision.decided_by, decision.reason)
    Console().print(table if decisions else "all inspectors are trusted")


@app.command()
def trust(inspector: Inspector, reason: Reason = "trusted by hand") -> None:
    """Learn an inspector's labels again; those set aside meanwhile are sent back by `weldstream deadletters`."""
    _decide(inspector, Standing.TRUSTED, reason)


@app.command()
def quarantine(inspector: Inspector, reason: Reason = "quarantined by hand") -> None:
    """Set an inspector's labels aside from now on."""
    _decide(inspector, Standing.QUARANTINED, reason)


@app.command()
def revoke(inspector: Inspector, reason: Reason = "revoked by hand") -> None:
    """Never learn an inspector's labels, and learn anew what was learned from them, without them."""
    _decide(inspector, Standing.REVOKED, reason)


def _decide(inspector: str, standing: Standing, reason: str) -> None:
    decision = InspectorStanding(
        inspector_id=inspector,
        standing=standing,
        reason=reason,
        decided_by=getpass.getuser(),
        decided_at=datetime.now(UTC),
    )
    asyncio.run(_publish(CommandSettings().kafka, decision))
    typer.echo(f"{inspector} is {standing}")


async def _publish(kafka: KafkaSettings, decision: InspectorStanding) -> None:
    await ensure_topics(kafka, (INSPECTORS,))
    record = encode_standing(kafka, decision, source="/weldstream/inspectors")
    await send_once(kafka, record, client_id="weldstream-inspectors")


async def _decisions(kafka: KafkaSettings) -> dict[str, InspectorStanding]:
    partitions = await partitions_of(kafka, kafka.topic(INSPECTORS))
    found = {}
    async with aclosing(read_to_end(kafka, partitions)) as records:
        async for record in records:
            decision = decode_standing(record)
            found[decision.inspector_id] = decision
    return found
