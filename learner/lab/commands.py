"""``weldstream lab``: strategies times streams times seeds, side by side."""

import asyncio
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from schemas.errors import PrerequisiteError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from learner.lab.results import Result
    from learner.lab.settings import Experiment
    from learner.lab.spreading import Workers as WorkerPlace

_EXAMPLES = """Strategies of continual learning, side by side: same streams, networks, batches and seeds.

    weldstream lab run

    weldstream lab run --stream rotated-digits --method replay --method gem --seeds 3

    weldstream lab run --stream permuted-mnist --data mnist --memory 500 --batch-size 128

    weldstream lab run --stream tiles --data ../shared/data --releases 10

    weldstream lab run my-experiment.json

Each writes report.html and report.json. What was run before is not run again, an interrupted run goes on.
"""

app = typer.Typer(help=_EXAMPLES, no_args_is_help=True, rich_markup_mode=None)

Workers = Annotated[int | None, typer.Option(min=1, help="Jobs at once; default: one for each core.")]
Backend = Annotated[str, typer.Option(help="joblib's backend: loky, sequential, or ray or dask for a cluster.")]
Out = Annotated[Path, typer.Option(help="Folder of results and reports.", file_okay=False)]
Data = Annotated[Path, typer.Option(help="Folder of a data set that is not built in.", file_okay=False)]


@app.callback()
def lab() -> None:
    """Check that what the laboratory needs is installed."""
    missing = [name for name in ("joblib", "optuna", "sklearn", "tensorboardX", "torch") if find_spec(name) is None]
    if missing:
        raise PrerequisiteError(
            f"the laboratory needs {', '.join(missing)}, not installed here: pip install 'weldstream[learner]'"
        )


@app.command("run")
def run_command(  # noqa: PLR0917 - the command line passes options by name
    experiment: Annotated[
        Path | None, typer.Argument(help="Experiment as JSON, see 'show'; then no other option says what runs.")
    ] = None,
    stream: Annotated[list[str] | None, typer.Option(help="Stream; may be repeated.")] = None,
    method: Annotated[list[str] | None, typer.Option(help="Strategy; may be repeated.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds, from 0.")] = 1,
    epochs: Annotated[int, typer.Option(min=1, help="Times that each domain is gone through.")] = 1,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples taken of the stream in a step.")] = 10,
    memory: Annotated[int, typer.Option(min=1, help="Samples kept of past domains, in all.")] = 250,
    learning_rate: Annotated[float, typer.Option(min=0.0, help="Of SGD; with masks it is the learner's AdamW.")] = 0.1,
    every: Annotated[int | None, typer.Option(min=1, help="Judge at every so many steps, within domains too.")] = 20,
    releases: Annotated[
        int | None,
        typer.Option(min=1, help="Release at every so many steps through the learner's gate: served regret."),
    ] = None,
    data: Data = Path("mnist"),
    out: Out = Path("lab"),
    workers: Workers = None,
    backend: Backend = "loky",
    board: Annotated[bool, typer.Option("--board", help="Log scores for TensorBoard.")] = False,
    trials: Annotated[
        int, typer.Option(min=0, help="Hyper-parameters tried for each method, on another seed's validation samples.")
    ] = 0,
) -> None:
    """Run strategies on streams and write a report."""
    from learner.lab.search import Budget, searched
    from learner.lab.settings import Experiment

    if experiment is not None:
        wanted = Experiment.model_validate_json(experiment.read_text("utf-8"))
    else:
        wanted = _experiment(
            stream, method, seeds=seeds, epochs=epochs, batch_size=batch_size, memory=memory, rate=learning_rate,
            every=every, releases=releases, data=data,
        )  # fmt: skip
    place = _place(workers, backend)
    if not trials:
        _report(_run(wanted, out, place, board=board), wanted.title, out)
        return
    results: list[Result] = []
    budget = Budget(trials=trials)
    for stream_config in wanted.streams:
        one = wanted.model_copy(update={"streams": (stream_config,)})
        results += _run(searched(one, budget, out / "searches", place), out, place, board=board)
    _report(results, wanted.title, out, notes=(str(budget),))


@app.command("show")
def show_command(
    stream: Annotated[list[str] | None, typer.Option(help="Stream; may be repeated.")] = None,
    method: Annotated[list[str] | None, typer.Option(help="Strategy; may be repeated.")] = None,
    data: Data = Path("mnist"),
) -> None:
    """Print an experiment with all its settings as JSON, to be changed and run."""
    wanted = _experiment(
        stream, method, seeds=1, epochs=1, batch_size=10, memory=250, rate=0.1, every=20, releases=None, data=data
    )
    typer.echo(wanted.model_dump_json(indent=2))


@app.command("record")
def record_command(  # noqa: PLR0917 - the command line passes options by name
    folder: Annotated[Path, typer.Argument(help="New folder for the copy.", file_okay=False)],
    start: Annotated[
        list[str] | None, typer.Option("--from", help="PARTITION:OFFSET to begin with; default: all retained.")
    ] = None,
    end: Annotated[
        list[str] | None, typer.Option("--to", help="PARTITION:OFFSET to stop before; default: the end now.")
    ] = None,
    test_share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the welds to test on.")] = 0.3,
    validation_share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the welds to validate on.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
) -> None:
    """Copy the labels of a running stack, with their pixels, to run strategies on what its learner saw.

    Reads the learner's settings. Welds are split as a whole, never by the order of reading.
    """
    from learner.lab.recording import record_labels
    from learner.settings import LearnerSettings

    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("labels", total=None)
        manifest = asyncio.run(
            record_labels(
                LearnerSettings(),
                folder,
                lambda: datetime.now(UTC),
                start=_offsets(start, "--from"),
                ends=_offsets(end, "--to"),
                test_share=test_share,
                validation_share=validation_share,
                seed=seed,
                on_label=lambda: bar.advance(task),
            )
        )
    for part in manifest.ranges:
        typer.echo(
            f"{part.topic}[{part.partition}] {part.start} to {part.end}: {part.labels} labels, "
            f"{part.unreadable} unreadable"
        )
    typer.echo(f"{len(manifest.domains)} domains, {len(manifest.split)} welds; run: ", nl=False)
    typer.echo(f"weldstream lab run --stream recorded --data {folder}")


def _offsets(said: "Sequence[str] | None", option: str) -> dict[int, int]:
    found = {}
    for text in said or ():
        partition, _, offset = text.partition(":")
        if not (partition.isdecimal() and offset.isdecimal()):
            raise typer.BadParameter(f"{text!r} is not PARTITION:OFFSET", param_hint=option)
        found[int(partition)] = int(offset)
    return found


def _experiment(
    streams: "Sequence[str] | None",
    methods: "Sequence[str] | None",
    *,
    seeds: int,
    epochs: int,
    batch_size: int,
    memory: int,
    rate: float,
    every: int | None,
    releases: int | None,
    data: Path,
) -> "Experiment":
    from learner.lab.errors import BadExperimentError
    from learner.lab.networks import MlpConfig, SegmenterConfig
    from learner.lab.presets import default_methods, has_masks, method_named, stream_named
    from learner.lab.settings import EvaluationConfig, Experiment, OptimizerConfig, ReleaseConfig, Schedule

    chosen = tuple(stream_named(name, data) for name in streams or ("permuted-digits",))
    if releases is not None:
        # The gate judges what nothing is trained on, nor reported on.
        held_out = {"validation_share": 0.1}
        chosen = tuple(s if s.validation_share else s.model_copy(update=held_out) for s in chosen)
    masks = {has_masks(stream) for stream in chosen}
    if len(masks) > 1:
        raise BadExperimentError("streams of classes and of masks need different networks: run them one by one")
    shared: dict[str, Any] = {"network": MlpConfig()}
    optimizer = OptimizerConfig(learning_rate=rate)
    if masks == {True}:
        # As the learner has it.
        shared = {"network": SegmenterConfig(), "augment": True}
        optimizer = OptimizerConfig(kind="adamw", learning_rate=5e-4, weight_decay=1e-4)
    return Experiment(
        streams=chosen,
        methods=tuple(
            method_named(kind, samples=memory, draw=batch_size, optimizer=optimizer)
            for kind in methods or default_methods()
        ),
        seeds=tuple(range(seeds)),
        schedule=Schedule(batch_size=batch_size, epochs=epochs),
        evaluation=EvaluationConfig(every=every),
        releases=None if releases is None else ReleaseConfig(every=releases),
        **shared,
    )


def _place(workers: int | None, backend: str) -> "WorkerPlace":
    from learner.lab.spreading import Workers

    return Workers(backend=backend) if workers is None else Workers(count=workers, backend=backend)


def _run(wanted: "Experiment", out: Path, place: "WorkerPlace", *, board: bool = False) -> "list[Result]":
    from learner.lab.jobs import run_jobs

    jobs = wanted.jobs()
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(wanted.title, total=len(jobs))

        def done(result: "Result") -> None:
            bar.update(task, advance=1, description=f"{result.job.method.name}, seed {result.job.seed}")

        return run_jobs(jobs, out / "results", place, board=out / "board" if board else None, on_done=done)


def _report(results: "list[Result]", title: str, out: Path, notes: "Sequence[str]" = ()) -> None:
    from learner.lab.report import score, write_report
    from learner.lab.summary import summarise

    html, data = write_report(results, out, title=title, notes=notes)
    console = Console()
    shown = ("average", "learning", "forgetting", "WC-ACC", "served regret", "ms per step")
    for stream in summarise(results)["streams"]:
        columns = [column for column in shown if column in stream["columns"]]
        table = Table("method", *columns, title=stream["name"])
        for row in stream["methods"]:
            table.add_row(row["name"], *(score(row["scores"].get(column), column) for column in columns))
        console.print(table)
    console.print(f"{html} and {data} written", highlight=False, soft_wrap=True)
