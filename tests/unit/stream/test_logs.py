"""Who is heard at which level."""

import logging
from collections.abc import Iterator

import pytest

from stream.logs import configure_logging

LIBRARY = "aiokafka"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("aiokafka", "kafka", "faststream", "uvicorn.access")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.mark.parametrize("level", ["INFO", "WARNING", "ERROR"])
def test_libraries_keep_to_errors(level: str) -> None:
    configure_logging(level)
    assert logging.getLogger(LIBRARY).getEffectiveLevel() == logging.ERROR


def test_libraries_are_heard_when_everything_is() -> None:
    configure_logging("DEBUG")
    assert logging.getLogger(LIBRARY).getEffectiveLevel() == logging.DEBUG
