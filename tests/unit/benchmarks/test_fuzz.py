from pathlib import Path

from benchmarks.figures import write_results
from benchmarks.fuzz import RUNS, Tried, figures
from benchmarks.fuzz_page import page
from tests.fuzz.targets import TARGETS


def test_every_target_is_fuzzed() -> None:
    assert RUNS.keys() == TARGETS.keys()


def test_a_row_for_each_target_and_their_sum() -> None:
    found = figures([Tried("PNG image", 100, 0), Tried("label", 7, 1)], [Tried("label", 5, 0), Tried("model", 3, 0)])
    assert [(f.figure, f.value, f.passed) for f in found] == [
        ("PNG image", 0, True),
        ("label", 1, False),
        ("model", 0, True),
        ("all targets", 1, False),
        ("inputs tried", 115, True),
    ]
    assert "12 inputs tried: 7 guided by coverage, 5 by structure" in found[1].method


def test_the_page_shows_what_was_missed(tmp_path: Path) -> None:
    write_results(figures([Tried("label", 7, 1)], []), tmp_path / "fuzz.json")
    assert "| label | 1 crashes | <= 0 | MISSED |" in page(tmp_path)
