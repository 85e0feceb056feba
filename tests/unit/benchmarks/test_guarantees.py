from pathlib import Path

import pytest

from benchmarks.figures import measured, read_results, write_results
from benchmarks.guarantees import GUARANTEES, LIMITS, Guarantee, page, proofs

RESULTS = Path(__file__).resolve().parents[3] / "benchmarks" / "results"


@pytest.mark.parametrize("guarantee", GUARANTEES, ids=lambda g: g.sentence[:40])
def test_each_sentence_is_proved_by_each_fault_it_names(guarantee: Guarantee) -> None:
    figures = read_results(RESULTS / "faults.json")
    for name in guarantee.faults:
        found = [figure for figure in figures if figure.figure.startswith(name)]
        assert found, f"no result of a fault {name!r}"
        assert all(figure.passed for figure in found)


def test_each_fault_proves_something() -> None:
    figures = read_results(RESULTS / "faults.json")
    proving = {figure.figure for guarantee in GUARANTEES for figure in proofs(guarantee, figures)}
    assert {figure.figure for figure in figures} == proving


def test_the_page_shows_each_sentence_with_its_results(tmp_path: Path) -> None:
    figures = [
        measured("poison frames: early", 0, "violations", "how", at_most=0),
        measured("poison frames: late", 2, "violations", "how", at_most=0),
    ]
    write_results(figures, tmp_path / "faults.json")
    shown = page(tmp_path)
    assert all(f"## {guarantee.sentence}" in shown for guarantee in GUARANTEES)
    assert all(f"- {limit}" in shown for limit in LIMITS)
    assert shown.count("| poison frames | 2 | 1 | 2 |") == 2
    assert "| poison frames: late | 2 violations | <= 0 | MISSED | how |" in shown
