"""``make bench``: measures every figure, writes the results, and ends with 1 where a bar is missed."""

import asyncio
import json
import os
import platform
import sys
from pathlib import Path

import onnxruntime
import torch
from rich.console import Console

from benchmarks.figures import Figure, measured, print_table, write_results
from benchmarks.learning_loop import label_to_served
from benchmarks.page import page
from benchmarks.serving import measure
from benchmarks.simulator import OVERALL, frames_per_second
from benchmarks.step import gem_cost

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"


def simulator() -> list[Figure]:
    """Measure the simulator."""
    rates = frames_per_second()
    slowest = min(rates[name] for name in rates if name != OVERALL)
    method = "256 x 256, processor time of one thread, all domains in turn"
    return [
        measured("simulated frames/s on one core", rates[OVERALL], "frames/s", method, at_least=100),
        measured("simulated frames/s on one core, slowest domain", slowest, "frames/s", method, at_least=100),
    ]


def machine() -> dict[str, str]:
    """Return what the figures were measured on."""
    return {
        "cores": f"{os.cpu_count()} ({platform.machine()})",
        "system": platform.system(),
        "Python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "torch": torch.__version__,
    }


def main() -> int:
    """Measure, write, print; return the exit status."""
    console = Console()
    figures: list[Figure] = []
    for title, part in (
        ("simulator", simulator),
        ("strategies", gem_cost),
        ("serving", lambda: asyncio.run(measure())),
        ("learning loop", label_to_served),
    ):
        console.print(f"measuring: {title}")
        found = part()
        print_table(found, console)
        figures += found
    write_results(figures, RESULTS / "serving.json")
    (RESULTS / "machine.json").write_text(json.dumps(machine(), indent=2) + "\n")
    PAGE.write_text(page(RESULTS))
    missed = [f.figure for f in figures if not f.passed]
    console.print(f"{len(figures)} figures, {len(missed)} missed" + (f": {', '.join(missed)}" if missed else ""))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
