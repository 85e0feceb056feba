"""``docs/benchmarks.md``, made of the results that ``make bench`` wrote."""

import json
from pathlib import Path

from benchmarks.figures import markdown_table, read_results


def page(results: Path) -> str:
    """Return the page that shows the figures of a results folder."""
    machine = json.loads((results / "machine.json").read_text())
    measured_on = ", ".join(f"{name}: {value}" for name, value in machine.items())
    return (
        "# Benchmarks\n\n"
        "Made of `benchmarks/results/`, which `make bench` writes; nothing here is typed by hand.\n"
        "Ratios are taken within one run. A bar that was missed is shown as missed.\n\n"
        f"Measured on {measured_on}.\n\n{markdown_table(read_results(results / 'serving.json'))}"
    )
