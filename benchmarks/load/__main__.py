"""``make bench-load``: overload, swaps, scale and sizes; ends with 1 where a bar is missed."""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import torch
from rich.console import Console

from benchmarks.figures import Figure, print_table, write_results
from benchmarks.load.bench import Bench
from benchmarks.load.books import TOPICS, Books
from benchmarks.load.costs import costs
from benchmarks.load.overload import Overload
from benchmarks.load.processes import plan, usable_cores
from benchmarks.load.swaps import Swaps
from benchmarks.page import page
from benchmarks.rig import connected
from benchmarks.serving import publish_versions, variants
from benchmarks.sizing import sizes
from learner.bootstrap import samples_of, train_first_model
from learner.model import Segmenter
from learner.settings import BootstrapSettings, LearnerSettings
from learner.trainers import make_trainer
from memory.artifacts import ArtifactStore
from memory.registry import open_registry
from stream.local import LocalStack
from stream.simulator.domains import DOMAINS
from stream.simulator.source import SimulatorSource
from stream.topics import ensure_topics

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
VERSIONS = 8
"""More than are live at a time while they are swapped in turn, so that each is built anew."""


WELDS, FRAMES_OF_A_WELD = 8, 24
TRAINING_SECONDS = 600.0


def first_model() -> Segmenter:
    """Return the network that a deployment begins with: one that finds defects, so that it has something to say.

    Trained for a number of steps, not for a time, so that it is the same on a slow machine; kept for the next run.
    """
    settings = LearnerSettings(bootstrap=BootstrapSettings(seconds=TRAINING_SECONDS))
    torch.set_num_threads(settings.training.threads)
    trainer = make_trainer(settings)
    source = SimulatorSource([DOMAINS[0]], seed=0, welds=WELDS, frames_per_weld=FRAMES_OF_A_WELD)
    train_first_model(trainer, samples_of(source), settings)
    return trainer.model


async def measure(options: argparse.Namespace, console: Console) -> list[Figure]:
    """Start a stack and measure everything on it."""
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - began:6.0f} s  {text}", highlight=False)

    with LocalStack() as stack, tempfile.TemporaryDirectory() as cache:
        say("training and publishing models")
        await ensure_topics(stack.kafka_settings)
        registry = open_registry(stack.registry_settings, publishes=True)
        artifacts = ArtifactStore(stack.registry_settings.uri, cache_dir=Path(cache))
        versions = publish_versions(registry, artifacts, variants(await asyncio.to_thread(first_model), VERSIONS))
        books = Books()
        async with connected(stack, registry, TOPICS, books.take) as rig:
            bench = Bench(rig, books, versions, plan(usable_cores()), say)
            await rig.release(versions[0].model.version)
            figures: list[Figure] = []
            if options.only != "swaps":
                say("overload: measuring what one process can judge")
                overload = Overload(bench, options.minutes, options.steady_seconds)
                found, spent = await overload.run()
                figures += found + await costs(bench, overload.sent, spent)
                print_table(figures, console)
            if options.only != "overload":
                say("swaps")
                found = await Swaps(bench, options.swaps).run()
                figures += found
                print_table(found, console)
    return figures


def options(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.load", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="of overload")
    parser.add_argument(
        "--steady-seconds", type=float, default=45.0, help="of load that can be borne, before and after"
    )
    parser.add_argument("--swaps", type=int, default=1000, help="how many")
    parser.add_argument("--only", choices=("overload", "swaps"), help="a part, to try it out; nothing is written")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write to; elsewhere to try it out")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Measure, print, write where all was measured; return the exit status."""
    console, chosen = Console(), options(arguments)
    figures = asyncio.run(measure(chosen, console))
    if chosen.only is None:
        sized = sizes(figures)
        print_table(sized, console)
        write_results(figures, chosen.results / "load.json")
        write_results(sized, chosen.results / "sizing.json")
        if chosen.results == RESULTS:
            PAGE.write_text(page(RESULTS))
    missed = [f.figure for f in figures if not f.passed]
    console.print(f"{len(figures)} figures, {len(missed)} missed" + (f": {', '.join(missed)}" if missed else ""))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
