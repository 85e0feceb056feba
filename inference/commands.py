"""``weldstream verify`` and ``weldstream recall``: what was judged can be shown, and judged again."""

import asyncio
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

if TYPE_CHECKING:
    from inference.audit import WeldReport
    from inference.recall_plan import Limits, Plan, RecallReport
    from stream.commands.settings import CommandSettings

INCOMPLETE = 3
"""Exit status of a recall that a limit ended."""


def verify_command(
    weld: Annotated[str, typer.Argument(help="Weld id.")],
    rejudge: Annotated[bool, typer.Option(help="Judge retained frames again and compare bit for bit.")] = True,
    ledger: Annotated[
        Path | None,
        typer.Option(help="An exported ledger to verify, for judgements that Kafka no longer retains.", exists=True),
    ] = None,
) -> None:
    """Check the chain of a weld's judgements and judge its retained frames again; ends with 1 if anything differs."""
    from stream.commands.settings import CommandSettings

    with tempfile.TemporaryDirectory(prefix="weldstream-") as cache:
        report = asyncio.run(_verify(CommandSettings(), weld, ledger, Path(cache), rejudge=rejudge))
    console = Console()
    for line in report.lines():
        console.print(line, highlight=False, soft_wrap=True)
    if not report.holds:
        raise typer.Exit(1)


async def _verify(
    settings: "CommandSettings", weld: str, ledger: Path | None, cache: Path, *, rejudge: bool
) -> "WeldReport":
    from inference.audit import verify_exported, verify_weld

    if ledger is None:
        return await verify_weld(settings.kafka, settings.registry, weld, cache, rejudge=rejudge)
    return await verify_exported(settings.kafka, settings.registry, weld, ledger, cache, rejudge=rejudge)


def recall_command(  # noqa: PLR0917 - the command line passes options by name
    old: Annotated[str, typer.Option("--from", help="The version that judged, for example v12.")],
    new: Annotated[str, typer.Option("--to", help="The version to judge with now, for example v13.")],
    request_review: Annotated[
        bool, typer.Option("--request-review", help="Ask inspectors for every frame that flips, once.")
    ] = False,
    since: Annotated[datetime | None, typer.Option(help="Only judgements made from then on, UTC.")] = None,
    max_frames: Annotated[int, typer.Option(min=1, help="Most judgements that are looked at.")] = 10_000,
    max_seconds: Annotated[float | None, typer.Option(min=0.0, help="Longest time that is spent.")] = None,
) -> None:
    """Judge the retained frames of one version with another and list the welds whose verdict flips.

    What is judged while this runs is left out. Ends with 3 where a limit ended it: with --request-review the next
    run goes on where this one stopped.
    """
    from inference.recall_plan import Limits, Plan
    from stream.commands.settings import CommandSettings

    settings = CommandSettings()
    name, (judged_by, again_by) = settings.registry.model_name, (_number(old), _number(new))
    at = None if since is None else since.replace(tzinfo=UTC)
    recall_id = f"{name}-v{judged_by}-v{again_by}" + ("" if at is None else f"-{at.isoformat()}")
    plan = Plan(recall_id, name, (judged_by,), again_by, since=at)
    limits = Limits(frames=max_frames, seconds=max_seconds)
    with (
        tempfile.TemporaryDirectory(prefix="weldstream-") as cache,
        Progress(console=Console(stderr=True), transient=True) as bar,
    ):
        task = bar.add_task("judging again", total=None)
        report = asyncio.run(
            _recall(
                settings,
                plan,
                limits,
                Path(cache),
                lambda done, total: bar.update(task, completed=done, total=total),
                request_review=request_review,
            )
        )
    console = Console()
    for line in report.lines():
        console.print(line, highlight=False, soft_wrap=True)
    if not report.complete:
        raise typer.Exit(INCOMPLETE)


async def _recall(
    settings: "CommandSettings",
    plan: "Plan",
    limits: "Limits",
    cache: Path,
    progress: Callable[[int, int], None],
    *,
    request_review: bool,
) -> "RecallReport":
    from inference.loading import Versions
    from inference.recall import Recaller
    from inference.recall_log import RecallLog
    from inference.recall_plan import NothingJudgedError
    from stream.acls import OPERATOR, topics_to_ensure
    from stream.topics import ensure_topics

    recaller = Recaller(settings.kafka, Versions.of(settings.registry, cache), _now)
    if request_review:
        await ensure_topics(settings.kafka, topics_to_ensure(OPERATOR, settings.kafka))
        async with RecallLog(settings.kafka, OPERATOR.group, plan.recall_id, _now, requests=True) as log:
            known = await log.read(plan.recall_id)
            report = await recaller.run(plan, limits, known=known, publish=log.publish, progress=progress)
    else:
        report = await recaller.run(plan, limits, known={}, progress=progress)
    if not report.welds:
        raise NothingJudgedError(f"no retained judgement is by v{plan.judged_by[0]}")
    return report


def _now() -> datetime:
    return datetime.now(UTC)


def _number(version: str) -> int:
    digits = version.removeprefix("v")
    if not digits.isdigit() or int(digits) < 1:
        raise typer.BadParameter(f"{version!r} is no version; write for example v12")
    return int(digits)
