"""A measured figure, its bar, and the two places it goes to: a results file and a table."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Attributes
    ----------
    figure : str
        What was measured.
    value : float
        The measurement.
    unit : str
        Its unit; empty for a ratio or a count.
    bar : str
        The bar as people write it, for example ``>= 0.9``; empty for a figure
        that is only reported.
    passed : bool
        Whether the bar was met; True where there is none.
    method : str
        How it was measured, in a sentence.
    """

    figure: str
    value: float
    unit: str
    bar: str
    passed: bool
    method: str


def measured(
    figure: str,
    value: float,
    unit: str,
    method: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Figure:
    """Return a figure judged by its bar, if it has one."""
    passed, bar = True, ""
    if at_least is not None:
        passed, bar = value >= at_least, f">= {at_least:g}"
    if at_most is not None:
        passed, bar = value <= at_most, f"<= {at_most:g}"
    return Figure(figure, round(float(value), 4), unit, bar, bool(passed), method)


def write_results(figures: Sequence[Figure], path: Path) -> None:
    """Write figures as a JSON list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(f) for f in figures], indent=2) + "\n")


def read_results(path: Path) -> list[Figure]:
    """Read figures that :func:`write_results` wrote."""
    return [Figure(**entry) for entry in json.loads(path.read_text())]


def print_table(figures: Sequence[Figure], console: Console) -> None:
    """Print figures as a table."""
    table = Table("figure", "value", "bar", "")
    for f in figures:
        table.add_row(f.figure, f"{f.value:g} {f.unit}".strip(), f.bar, _mark(f))
    console.print(table)


def markdown_table(figures: Sequence[Figure]) -> str:
    """Return figures as a Markdown table."""
    rows = ["| figure | value | bar | | how |", "|---|---:|---:|---|---|"]
    rows += [f"| {f.figure} | {f.value:g} {f.unit} | {f.bar} | {_mark(f)} | {f.method} |" for f in figures]
    return "\n".join(rows) + "\n"


def _mark(figure: Figure) -> Literal["met", "MISSED", ""]:
    if not figure.bar:
        return ""
    return "met" if figure.passed else "MISSED"
