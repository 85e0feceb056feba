"""``docs/benchmarks.md``, made of the results that ``make bench`` wrote."""

import json
from pathlib import Path

from benchmarks.figures import markdown_table, read_results
from benchmarks.peers.results import comparison_table, methods


def page(results: Path) -> str:
    """Return the page that shows the figures of a results folder."""
    machine = json.loads((results / "machine.json").read_text())
    measured_on = ", ".join(f"{name}: {value}" for name, value in machine.items())
    return (
        "# Benchmarks\n\n"
        "Made of `benchmarks/results/`, which `make bench` writes; nothing here is typed by hand.\n"
        "Ratios are taken within one run. A bar that was missed is shown as missed.\n\n"
        f"Measured on {measured_on}.\n\n{markdown_table(read_results(results / 'serving.json'))}"
        + _peers(results / "peers.json")
    )


def _peers(path: Path) -> str:
    """Return the part that compares us with others; empty where that was not measured."""
    if not path.exists():
        return ""
    figures = read_results(path)
    return (
        "\n## Against peers\n\n"
        "Made of `benchmarks/results/peers.json`, which `make bench-peers` writes: the same frames and the same model "
        "for all, one system after another, on one broker. Lost is a frame of which nothing came back; refused is one "
        "whose sender was told so, or that became a dead letter. Milliseconds are of the machine above; across systems "
        "compare ratios and counts.\n\n"
        f"{comparison_table(figures)}\n{methods(figures)}"
    )
