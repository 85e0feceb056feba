"""``weldstream demo``: the main job on one machine, with a report."""

import asyncio
import time
import uuid
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from memory.registry import ModelRegistry
from stream.demo.first_labels import send_first_labels
from stream.demo.report import build_report, shortcomings, write_report
from stream.demo.run import Run, StalledError
from stream.demo.scenarios import MlNdt, Scenario, Simulated, Tiles
from stream.demo.services import Services, start_services
from stream.demo.settings import DemoSettings
from stream.demo.view import make_view
from stream.local import LocalStack, exit_on_signals
from stream.simulator import DOMAINS
from stream.topics import ensure_topics

FIRST_MODEL_PATIENCE_SECONDS = 300.0


class ScenarioName(StrEnum):
    """What the demo can show."""

    SIMULATED = "simulated"
    TILES = "tiles"
    ML_NDT = "ml-ndt"


def demo_command(  # noqa: PLR0917 - the command line passes options by name
    scenario: Annotated[ScenarioName, typer.Option(help="What is shown.")] = ScenarioName.SIMULATED,
    data: Annotated[Path | None, typer.Option(help="Folder of the measured data set.", exists=True)] = None,
    domains: Annotated[int, typer.Option(help="Simulated domains.", min=1, max=len(DOMAINS))] = 4,
    seconds_per_domain: Annotated[float, typer.Option(help="Streaming time of each domain.", min=1)] = 62.0,
    frames_per_second: Annotated[float, typer.Option(help="Rate of publishing.", min=0.1)] = 5.0,
    first_model_seconds: Annotated[float, typer.Option(help="Longest training of the first model.", min=1)] = 80.0,
    audit_rate: Annotated[float, typer.Option(help="Share of unflagged frames to label.", min=0, max=1)] = 0.2,
    exam_frames: Annotated[int, typer.Option(help="Held-out frames of an exam.", min=1)] = 48,
    report_dir: Annotated[Path, typer.Option(help="Where the report goes.")] = Path(),
    seed: Annotated[int, typer.Option(help="Of what is shown.")] = 7,
) -> None:
    """Run the whole loop on a real Kafka and a real Redis, let the scans drift, and report what was learned.

    Ends with status 1 where the run does not show what it should.
    """
    settings = DemoSettings(
        domains=domains,
        seconds_per_domain=seconds_per_domain,
        frames_per_second=frames_per_second,
        first_model_seconds=first_model_seconds,
        audit_rate=audit_rate,
        exam_frames=exam_frames,
        report_dir=report_dir,
        seed=seed,
    )
    console = Console()
    with exit_on_signals():
        found = _demo(_scenario(scenario, data, settings), settings, console)
    if found:
        raise typer.Exit(1)


def _scenario(name: ScenarioName, data: Path | None, settings: DemoSettings) -> Scenario:
    run_id = uuid.uuid4().hex[:8]
    simulated = Simulated(
        DOMAINS[: settings.domains],
        seed=settings.seed,
        held_out_share=settings.held_out_share,
        exam_frames=settings.exam_frames,
        run_id=run_id,
    )
    if name is ScenarioName.SIMULATED:
        return simulated
    if data is None:
        raise typer.BadParameter(f"scenario {name} needs the folder of its data", param_hint="--data")
    if name is ScenarioName.ML_NDT:
        return MlNdt(simulated, data, run_id=run_id)
    return Tiles(
        data,
        seed=settings.seed,
        held_out_share=settings.held_out_share,
        exam_frames=settings.exam_frames,
        run_id=run_id,
    )


def _demo(scenario: Scenario, settings: DemoSettings, console: Console) -> list[str]:
    began = time.monotonic()
    console.print("starting Kafka and Redis")
    with LocalStack() as stack:
        services = _start(stack, scenario, settings)
        set_up = time.monotonic() - began
        console.print(f"first model, on {scenario.domains[0]}: trained once, kept for the next run", soft_wrap=True)
        for service in (services.inference, services.frozen):
            service.wait_ready(FIRST_MODEL_PATIENCE_SECONDS)
        first_model = time.monotonic() - began - set_up
        run = Run(scenario, settings, stack.kafka_settings, make_view(console), services.refused)
        try:
            streaming = asyncio.run(run.stream())
        except StalledError as error:
            console.print(f"[red]{error}[/]\n{services.inference.log_tail()}")
            raise typer.Exit(1) from error
        registry = ModelRegistry(stack.registry_settings.uri, stack.registry_settings.model_name)
        report = build_report(
            run.ledger,
            learned=services.learned(),
            seconds={"setup": set_up, "first_model": first_model, "streaming": streaming},
            refused=[refusal.verdict for refusal in registry.refusals()],
        )
    json_path, html_path = write_report(report, run.ledger, settings.report_dir)
    found = shortcomings(report)
    _summary(report, found, console)
    console.print(f"report: {html_path} and {json_path}")
    return found


def _start(stack: LocalStack, scenario: Scenario, settings: DemoSettings) -> Services:
    first = list(scenario.first_labels())

    async def prepare() -> None:
        await ensure_topics(stack.kafka_settings)
        await send_first_labels(stack.kafka_settings, first, scenario.classes, datetime.now(UTC))

    asyncio.run(prepare())
    return start_services(stack, settings, scenario.classes, len(first), learner={})


def _summary(report: dict[str, object], found: list[str], console: Console) -> None:
    from rich.table import Table

    table = Table("domain", "frozen", "served, at its start", "served, at the end", title="Dice on held-out frames")
    for domain in report["domains"]:  # type: ignore[attr-defined]
        table.add_row(*(str(domain[k]) for k in ("name", "dice_frozen", "dice_served_start", "dice_served_end")))
    console.print(table)
    for part in ("frames", "labels", "latency_ms", "label_to_served_s", "seconds"):
        console.print(f"{part}: {report[part]}")
    console.print(f"models served: {len(report['releases'])}, refused: {len(report['refused'])}")  # type: ignore[arg-type]
    for line in found:
        console.print(f"[red]not shown: {line}[/]")
