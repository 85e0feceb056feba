"""Faults on the real broker; ``make test-faults`` writes what was found to benchmarks/results/faults.json."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.figures import print_table, write_results
from tests.faults.report import FaultReport
from tests.integration.inference.conftest import outside, settings

__all__ = ["outside", "settings"]


@pytest.fixture(scope="session")
def faults(request: pytest.FixtureRequest) -> Iterator[FaultReport]:
    report = FaultReport()
    yield report
    results = request.config.getoption("--faults-results")
    if results and report.figures:
        write_results(report.figures, Path(results))
        print_table(report.figures, Console())
