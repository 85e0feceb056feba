"""Faults on the real broker; ``make test-faults`` writes what was found to benchmarks/results/faults.json."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from rich.console import Console

from benchmarks.figures import print_table, write_results
from tests.faults.report import FaultReport
from tests.integration.inference.conftest import outside, settings

__all__ = ["outside", "settings"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a results file, as in ``make test``, leave out what only says the same at another time."""
    if config.getoption("--faults-results"):
        return
    left_out = [item for item in items if item.get_closest_marker("thorough")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def early_and_later(places: Iterable[str], later: int) -> list[ParameterSet | str]:
    """Return each place at its first time, and at a later one where it is thorough."""
    first = [f"{place}:1" for place in places]
    return [*first, *(pytest.param(f"{place}:{later}", marks=pytest.mark.thorough) for place in places)]


@pytest.fixture(scope="session")
def faults(request: pytest.FixtureRequest) -> Iterator[FaultReport]:
    report = FaultReport()
    yield report
    results = request.config.getoption("--faults-results")
    if results and report.figures:
        write_results(report.figures, Path(results))
        print_table(report.figures, Console())
