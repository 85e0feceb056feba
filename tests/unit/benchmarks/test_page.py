import json
from pathlib import Path

from benchmarks.figures import measured, write_results
from benchmarks.page import page


def test_the_page_shows_every_figure_and_what_it_was_measured_on(tmp_path: Path) -> None:
    write_results([measured("swaps", 24, "swaps", "how", at_least=20)], tmp_path / "serving.json")
    (tmp_path / "machine.json").write_text(json.dumps({"cores": "2"}))
    shown = page(tmp_path)
    assert "cores: 2" in shown
    assert "| swaps | 24 swaps | >= 20 | met | how |" in shown


def test_each_results_file_has_a_section_and_what_was_not_measured_says_so(tmp_path: Path) -> None:
    write_results([measured("swaps", 24, "swaps", "how", at_least=20)], tmp_path / "serving.json")
    write_results([measured("lag", 2, "s", "how", at_most=1)], tmp_path / "load.json")
    (tmp_path / "machine.json").write_text(json.dumps({"cores": "2"}))
    shown = page(tmp_path)
    assert shown.index("| swaps |") < shown.index("## Load") < shown.index("| lag | 2 s | <= 1 | MISSED | how |")
    assert shown.endswith("Not measured yet.\n")
