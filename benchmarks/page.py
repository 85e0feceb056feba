"""``docs/benchmarks.md``, made of the results that the benchmarks wrote."""

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import markdown_table, read_results
from benchmarks.peers.results import comparison_table, methods


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page.

    Attributes
    ----------
    results : str
        File with its figures.
    title, command, text : str
        Heading, what makes it, and what a reader must know.
    """

    results: str
    title: str
    command: str
    text: str


SECTIONS = (
    Section("serving.json", "Serving and learning", "make bench", "Ratios are taken within one run."),
    Section("ledger.json", "Ledger", "make bench", "Export and check of the judgements of many welds."),
    Section(
        "load.json",
        "Load",
        "make bench-load",
        "Overload, swaps without end, and a second process, on one broker in one run. What limits what while inference "
        "is overloaded is written in [operations](operations.md).",
    ),
    Section(
        "sizing.json",
        "Sizes on paper",
        "make bench-load",
        "What a plant needs, worked out from the costs measured above; nothing of it was run.",
    ),
)


def page(results: Path) -> str:
    """Return the page that shows the figures of a results folder, as far as they have been measured."""
    machine = json.loads((results / "machine.json").read_text())
    measured_on = ", ".join(f"{name}: {value}" for name, value in machine.items())
    head = (
        "# Benchmarks\n\n"
        "Made of `benchmarks/results/`; nothing here is typed by hand. A bar that was missed is shown as missed.\n\n"
        f"Measured on {measured_on}.\n"
    )
    return head + "".join(_section(section, results) for section in SECTIONS) + _peers(results / "peers.json")


def _section(section: Section, results: Path) -> str:
    path = results / section.results
    figures = markdown_table(read_results(path)) if path.exists() else "Not measured yet.\n"
    return f"\n## {section.title}\n\n{section.text} Measured by `{section.command}`.\n\n{figures}"


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
