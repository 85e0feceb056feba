"""What docs/operations.md says of limits is what the settings and the topics say."""

from pathlib import Path

import pytest

from inference.node import FETCH_BYTES
from inference.settings import ServingSettings
from schemas.topics import DAY_MS, FRAMES, MIB

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "operations.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["max_in_flight", "max_batch", "max_live_models"])
def test_defaults_are_named_as_they_are(name: str) -> None:
    line = next(line for line in PAGE.splitlines() if f"`serving.{name}`" in line)
    assert f"({getattr(ServingSettings(), name)})" in line


def test_what_is_fetched_and_kept_is_told_as_it_is() -> None:
    assert FETCH_BYTES == MIB
    assert "1 MiB of a partition (`FETCH_BYTES`" in PAGE
    assert FRAMES.retention_ms == DAY_MS
    assert f"the frames topic has {FRAMES.partitions} partitions" in PAGE
