import json
from pathlib import Path

import pytest

from benchmarks.figures import markdown_table, measured, read_results, write_results


@pytest.mark.parametrize(
    ("value", "bars", "bar", "passed"),
    [
        (0.9, {"at_least": 0.9}, ">= 0.9", True),
        (0.89, {"at_least": 0.9}, ">= 0.9", False),
        (1.25, {"at_most": 1.25}, "<= 1.25", True),
        (1.26, {"at_most": 1.25}, "<= 1.25", False),
        (float("nan"), {"at_most": 1.25}, "<= 1.25", False),
        (1e9, {}, "", True),
    ],
)
def test_the_bar_decides(value: float, bars: dict[str, float], bar: str, passed: bool) -> None:
    found = measured("ratio", value, "", "how", **bars)
    assert (found.bar, found.passed) == (bar, passed)


def test_a_bar_is_held_against_what_was_measured_not_what_is_shown() -> None:
    found = measured("ratio", 1.25004, "", "how", at_most=1.25)
    assert found.value == 1.25
    assert not found.passed


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    figures = [measured("a", 1.5, "s", "how", at_most=1), measured("b", 2, "frames", "how else")]
    write_results(figures, tmp_path / "new" / "results.json")
    assert read_results(tmp_path / "new" / "results.json") == figures
    (entry, _) = json.loads((tmp_path / "new" / "results.json").read_text())
    assert list(entry) == ["figure", "value", "unit", "bar", "passed", "method"]


def test_the_table_shows_what_was_missed() -> None:
    figures = [measured("a", 2.0, "s", "how", at_most=1), measured("b", 1.0, "", "how")]
    missed, reported = markdown_table(figures).splitlines()[2:]
    assert missed == "| a | 2 s | <= 1 | MISSED | how |"
    assert reported == "| b | 1  |  |  | how |"
