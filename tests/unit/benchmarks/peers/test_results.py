from pathlib import Path

import pytest

from benchmarks.figures import Figure, measured, read_results, write_results
from benchmarks.page import page
from benchmarks.peers.bumps import agreeing
from benchmarks.peers.interruptions import errors
from benchmarks.peers.results import comparison_table, merged, methods
from benchmarks.peers.scans import simulate


def figure(name: str, value: float, method: str = "how") -> Figure:
    return measured(name, value, "frames", method)


def test_a_part_replaces_the_rows_of_its_own_systems_only(tmp_path: Path) -> None:
    path = tmp_path / "peers.json"
    assert merged(path, [figure("a: x, lost", 1)]) == [figure("a: x, lost", 1)]
    write_results([figure("a: x, lost", 1), figure("a: y, lost", 2), figure("ab: x, lost", 3)], path)
    assert merged(path, [figure("a: x, lost", 9)]) == [figure("ab: x, lost", 3), figure("a: x, lost", 9)]


def test_systems_stand_side_by_side_and_what_one_was_not_asked_is_left_empty() -> None:
    table = comparison_table([figure("a: x, lost", 1), figure("b: x, lost", 2), figure("b: y, lost", 3)])
    assert table.splitlines() == [
        "| | a | b |",
        "|---|---:|---:|",
        "| x, lost | 1 frames | 2 frames |",
        "| y, lost |  | 3 frames |",
    ]


def test_a_method_is_said_once_for_the_figures_that_share_it() -> None:
    said = methods([figure("a: x, lost", 1, "so"), figure("a: x, twice", 1, "so"), figure("b: y, lost", 1, "else")])
    assert said.splitlines() == ["- **a**, x: so.", "- **b**, y: else."]


def test_the_page_has_the_comparison_where_there_is_one(tmp_path: Path) -> None:
    write_results([figure("swaps", 1)], tmp_path / "serving.json")
    (tmp_path / "machine.json").write_text("{}")
    assert "Against peers" not in page(tmp_path)
    write_results([figure("a: x, lost", 7)], tmp_path / "peers.json")
    assert "| x, lost | 7 frames |" in page(tmp_path)
    assert read_results(tmp_path / "peers.json")[0].value == 7


def test_masks_that_differ_end_the_comparison() -> None:
    agreeing([("a", "1"), ("b", "1")])
    with pytest.raises(ValueError, match="do not judge alike"):
        agreeing([("a", "1"), ("b", "1"), ("c", "2")])


def test_errors_are_read_from_a_position_on_without_folders_and_bars(tmp_path: Path) -> None:
    log = tmp_path / "log"
    old = "x ERROR old\n"
    log.write_text(f"{old}fine\n[m] ERROR - no `a|b` in /home/me/thing.json\n")
    assert errors(log, len(old)) == ["ERROR - no 'a/b' in ..."]
    assert len(errors(log, 0)) == 2


def test_all_systems_get_the_same_pixels_under_ids_of_their_own() -> None:
    scans = simulate()
    first, again = scans.take(70, "a"), scans.take(70, "b")
    assert len({scan.frame.frame_id for scan in first + again}) == 140
    assert all((x.pixels == y.pixels).all() for x, y in zip(first, again, strict=True))
    assert [scan.frame.weld_id for scan in first[:4]] == ["a-0", "a-0", "a-0", "a-1"]
