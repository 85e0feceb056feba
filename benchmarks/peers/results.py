"""The figures of several systems in one file, and as one table."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import Figure, read_results

SEPARATOR = ": "


def merged(path: Path, found: Sequence[Figure]) -> list[Figure]:
    """Return what a results file holds of other systems, followed by what was found now."""
    systems = {system(figure) for figure in found}
    kept = [f for f in read_results(path) if system(f) not in systems] if path.exists() else []
    return [*kept, *found]


def system(figure: Figure) -> str:
    """Return whose figure it is."""
    return figure.figure.partition(SEPARATOR)[0]


def comparison_table(figures: Sequence[Figure]) -> str:
    """Return a Markdown table with a row for each measurement and a column for each system."""
    systems = list(dict.fromkeys(system(f) for f in figures))
    rows: dict[str, dict[str, str]] = {}
    for f in figures:
        measurement = f.figure.partition(SEPARATOR)[2]
        rows.setdefault(measurement, {})[system(f)] = f"{f.value:g} {f.unit}".strip()
    lines = ["| | " + " | ".join(systems) + " |", "|---|" + "---:|" * len(systems)]
    lines += [f"| {what} | " + " | ".join(cells.get(s, "") for s in systems) + " |" for what, cells in rows.items()]
    return "\n".join(lines) + "\n"


def methods(figures: Sequence[Figure]) -> str:
    """Return a Markdown list of how each group of figures was measured, said once for the group."""
    said = {f.method: f for f in figures}
    lines = []
    for method, figure in said.items():
        who, _, measurement = figure.figure.partition(SEPARATOR)
        what, _, _ = measurement.partition(",")
        lines.append(f"- **{who}**, {what}: {method}.")
    return "\n".join(lines) + "\n"
