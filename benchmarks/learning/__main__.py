"""``make bench-learning``: every table, resumable; ends with 1 where a bar is missed."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.figures import Figure, print_table, read_results, write_results
from benchmarks.hidden_changes import hidden_change_figures
from benchmarks.learning import digits, labels, memories, mnist, surfaces
from benchmarks.learning.page import page, title_of
from benchmarks.learning.step_times import step_times
from benchmarks.learning.table import Table
from learner.lab.jobs import run_jobs
from learner.lab.report import write_report
from learner.lab.results import Result
from learner.lab.search import searched
from learner.lab.spreading import Workers

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "continual-learning.md"
STEPS, HIDDEN = "steps", "hidden-changes"


def run_table(table: Table, folder: Path, workers: Workers, console: Console) -> list[Result]:
    """Run what of a table has not been run, with its search where it has one."""
    experiments = [table.experiment]
    if table.budget is not None:
        ones = [table.experiment.model_copy(update={"streams": (s,)}) for s in table.experiment.streams]
        experiments = [searched(one, table.budget, folder / "searches", workers) for one in ones]
    jobs = [job for experiment in experiments for job in experiment.jobs()]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(table.title, total=len(jobs))
        return run_jobs(jobs, folder / "results", workers, on_done=lambda _: bar.advance(task))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, write, print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a seed and a part of each table")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of the data sets")
    parser.add_argument("--only", action="append", help="key of a table; may be repeated")
    parser.add_argument("--folder", type=Path, default=ROOT / ".weldstream" / "learning", help="of what was run")
    parser.add_argument("--workers", type=int, default=Workers().count)
    said = parser.parse_args(arguments)
    console = Console(stderr=True)
    tables = [
        *digits.tables(quick=said.quick),
        *memories.tables(quick=said.quick),
        *mnist.tables(said.data, quick=said.quick),
        *surfaces.tables(said.data, quick=said.quick),
        *labels.tables(said.data, quick=said.quick),
    ]
    keys = [STEPS, *([] if said.quick else [HIDDEN]), *(table.key for table in tables)]
    if unknown := set(said.only or ()) - set(keys):
        parser.error(f"no table {', '.join(sorted(unknown))}; there are {', '.join(keys)}")
    wanted = set(said.only or keys)
    figures: list[Figure] = []
    results: list[Result] = []
    notes: list[str] = []
    if STEPS in wanted:
        figures += step_times(quick=said.quick)
    if HIDDEN in wanted:
        figures += hidden_change_figures()
    for table in tables:
        if table.key not in wanted:
            continue
        found = run_table(table, said.folder, Workers(count=said.workers), console)
        results += found
        figures += table.figures(found)
        notes += [f"{table.title}: {text}" for text in (table.text, str(table.budget or "")) if text]
    print_table(figures, Console())
    if results:
        write_report(results, said.folder, title="Continual learning", notes=notes)
        console.print(f"{said.folder / 'report.html'} written", soft_wrap=True)
    name = "learning-quick.json" if said.quick else "learning.json"
    # A part of the tables leaves the figures of the others as they are.
    whole = wanted >= set(keys)
    path = RESULTS / name
    kept = [] if whole or not path.exists() else read_results(path)
    new = {title_of(figure) for figure in figures}
    write_results([*(f for f in kept if title_of(f) not in new), *figures], path)
    if not said.quick:
        PAGE.write_text(page(RESULTS))
    missed = [f.figure for f in figures if not f.passed]
    console.print(f"{len(figures)} figures, {len(missed)} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
