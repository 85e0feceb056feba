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
