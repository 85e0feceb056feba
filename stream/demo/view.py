"""What a person sees while the demo runs: a live table in a terminal, plain lines elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

PLAIN_EVERY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The run at one moment.

    Attributes
    ----------
    elapsed_seconds, total_seconds : float
        Since streaming began, and in all as planned.
    phase : str
        What is being done now.
    frames_per_second : float
        Judged by the served model over the last seconds.
    latency_ms : float or None
        Median of the last judgements.
    version : int
        The version that judged last.
    swaps : int
        Versions swapped in after the first.
    refused : int
        Candidates that the gate refused.
    labels : int
        Labels given by the inspector.
    alerts : int
        Alerts raised.
    dice : Mapping of str to (float or None, float or None)
        Per domain: Dice of the frozen and of the served model over the last
        held-out frames.
    """

    elapsed_seconds: float
    total_seconds: float
    phase: str
    frames_per_second: float
    latency_ms: float | None
    version: int
    swaps: int
    refused: int
    labels: int
    alerts: int
    dice: Mapping[str, tuple[float | None, float | None]]


class View(Protocol):
    """Shows snapshots."""

    def __enter__(self) -> Self:
        """Start showing."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop showing."""
        ...

    def show(self, snapshot: Snapshot) -> None:
        """Show the run as it stands."""
        ...


def make_view(console: Console) -> View:
    """Return the live table for a terminal, plain lines for anything else."""
    return LiveView(console) if console.is_terminal else PlainView(console)


def _number(value: float | None, form: str = ".2f") -> str:
    return "-" if value is None else format(value, form)


class PlainView:
    """One line every few seconds, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = -PLAIN_EVERY_SECONDS

    def __enter__(self) -> Self:
        """Start showing."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop showing."""

    def show(self, snapshot: Snapshot) -> None:
        """Print a line if the last one is long enough ago."""
        s = snapshot
        if s.elapsed_seconds - self._last < PLAIN_EVERY_SECONDS:
            return
        self._last = s.elapsed_seconds
        dice = "  ".join(f"{d} {_number(frozen)}>{_number(served)}" for d, (frozen, served) in s.dice.items())
        self._console.print(
            f"{s.elapsed_seconds:5.0f} s  {s.phase}  {s.frames_per_second:.1f} frames/s  "
            f"latency {_number(s.latency_ms, '.0f')} ms  v{s.version}  swaps {s.swaps}  refused {s.refused}  "
            f"labels {s.labels}  alerts {s.alerts}  Dice frozen>served: {dice}",
            soft_wrap=True,
            highlight=False,
        )


class LiveView:
    """A table that is drawn anew with each snapshot."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console, auto_refresh=False
        )
        self._task = self._progress.add_task("streaming")
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        """Start showing."""
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last table on the screen."""
        self._live.__exit__(kind, error, trace)

    def show(self, snapshot: Snapshot) -> None:
        """Draw the table."""
        s = snapshot
        self._progress.update(
            self._task, description=s.phase, completed=min(s.elapsed_seconds, s.total_seconds), total=s.total_seconds
        )
        facts = Table.grid(padding=(0, 3))
        facts.add_row(
            f"[bold]{s.frames_per_second:.1f}[/] frames/s",
            f"latency [bold]{_number(s.latency_ms, '.0f')}[/] ms",
            f"model [bold]v{s.version}[/]",
            f"swaps [bold]{s.swaps}[/]",
            f"refused [bold]{s.refused}[/]",
            f"labels [bold]{s.labels}[/]",
            f"alerts [bold]{s.alerts}[/]",
        )
        dice = Table("domain", "frozen", "served", title="Dice on held-out frames (last 12 of each domain)")
        for domain, (frozen, served) in s.dice.items():
            better = served is not None and frozen is not None and served > frozen
            dice.add_row(domain, _number(frozen), f"[green]{_number(served)}[/]" if better else _number(served))
        self._live.update(Group(self._progress, facts, dice), refresh=True)
