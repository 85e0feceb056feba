"""How many inputs are tried, and where the count goes; ``make test`` tries few and the same each time."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.tally import Tally


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz-tally", help="Where tests/fuzz write how many inputs they tried.")


@pytest.fixture(scope="session")
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    tally = Tally()
    yield tally
    path = request.config.getoption("--fuzz-tally", default=None)
    if path:
        tally.write(Path(path))
