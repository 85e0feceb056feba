from pathlib import Path

import pytest

from benchmarks.figures import measured, write_results
from benchmarks.learning import digits, labels, memories, mnist, surfaces
from benchmarks.learning.bars import (
    PUBLISHED,
    above_published,
    against,
    at_most,
    beats,
    falls,
    near_joint,
    published,
    told_beside,
)
from benchmarks.learning.methods import DEFAULT
from benchmarks.learning.page import page
from benchmarks.learning.step_times import PAIRS
from benchmarks.learning.table import Book, Table
from learner.lab.results import Domain, LookRow, Result, Served
from learner.lab.settings import Experiment, Job, Method
from learner.lab.streams import DigitsConfig
from learner.strategies.fine_tuning import FineTuningConfig

STREAM = DigitsConfig(domains=2)
NAME = STREAM.name


def result(method: str, first: float, last: float, *, seed: int = 0, drop: float = 0.0) -> Result:
    """A run of two domains that ends with these scores."""
    job = Job(stream=STREAM, method=Method(name=method, strategy=FineTuningConfig()), seed=seed)
    looks = (LookRow(step=1, domain=0, scores=(0.9,)), LookRow(step=2, domain=1, scores=(0.9 - drop, 0.5)))
    return Result(
        job=job,
        digest=f"{method}-{seed}",
        stream=NAME,
        classes=("a", "b"),
        score="accuracy",
        matrix=((0.1, 0.1), (0.9, 0.1), (first, last)),
        served=Served(versions=looks, refused=1),
        domains=(Domain(name="1", train=1, test=1), Domain(name="2", train=1, test=1)),
        steps=1,
        samples=1,
        seconds_per_step=0.0,
        seconds=0.0,
        kept_bytes=0,
        resident_bytes=0,
        environment={},
    )


def tables(*, quick: bool) -> list[Table]:
    data = Path("data")
    return [
        *digits.tables(quick=quick),
        *memories.tables(quick=quick),
        *mnist.tables(data, quick=quick),
        *surfaces.tables(data, quick=quick),
        *labels.tables(data, quick=quick),
    ]


def test_every_job_of_every_table_can_be_written_and_read() -> None:
    for table in (*tables(quick=True), *tables(quick=False)):
        for job in table.experiment.jobs():
            assert Job.model_validate_json(job.model_dump_json()) == job


def test_a_table_has_each_key_once_and_the_quick_ones_are_few() -> None:
    full = tables(quick=False)
    assert len({table.key for table in full}) == len(full)
    assert len({table.title for table in full}) == len(full)


@pytest.mark.parametrize("key", ["buzzega", "buzzega-measured"])
def test_every_published_method_is_run(key: str) -> None:
    for change in ("permuted", "rotated"):
        names = {m.name for m in mnist.buzzega(Path(), change, quick=False).experiment.methods}
        assert names >= PUBLISHED[key][change].keys()


def test_every_scenario_has_the_methods_it_is_compared_in() -> None:
    for scenario in ("task", "domain", "class"):
        names = {m.name for m in mnist.split(Path(), scenario, quick=False).experiment.methods}
        assert names >= PUBLISHED["van-de-ven"][scenario].keys()
    assert {m.name for m in mnist.zenke(Path()).experiment.methods} == PUBLISHED["zenke"]["permuted"].keys()


def test_every_strategy_of_avalanche_has_ours_beside_it() -> None:
    (table,) = digits.tables(quick=True)
    assert {m.name for m in table.experiment.methods} >= {*digits.PAIRS, *digits.PAIRS.values()}
    assert len(PAIRS) == len({ours.name for ours, _ in PAIRS})


def test_a_bar_is_the_published_figure_less_a_point(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"source": "told", "x": {"m 200": 71.0, "n 200": 60.0, "absent": 99.0}}
    monkeypatch.setattr("benchmarks.learning.bars.PUBLISHED", {"t": told})
    book = Book([result("m 200", 0.6, 0.801), result("n 200", 0.5, 0.6), result(DEFAULT, 0.7, 0.71)])
    good, bad = published("t", {NAME: "x"})(book)
    assert (good.passed, good.value, good.bar) == (True, pytest.approx(70.05), ">= 70")
    assert (bad.passed, bad.bar) == (False, ">= 59")
    (above,) = above_published("t", {NAME: "x"}, DEFAULT, "200")(book)
    assert (above.passed, above.value, above.bar) == (False, pytest.approx(70.5), ">= 71")


def test_what_the_authors_code_gave_is_the_bar_where_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"source": "told", "x": {"m": 71.0, "n": 60.0}}
    monkeypatch.setattr(
        "benchmarks.learning.bars.PUBLISHED", {"t": told, "again": {"source": "again", "x": {"m": 69.0}}}
    )
    book = Book([result("m", 0.6, 0.801), result("n", 0.5, 0.6)])
    known, unknown = published("t", {NAME: "x"}, "again")(book)
    assert (known.bar, unknown.bar) == (">= 68", ">= 59")
    assert "71.0" in known.method
    assert "69.0" in known.method


def test_gains_are_told_seed_by_seed() -> None:
    runs = [
        *(result("plain", score, score, seed=seed) for seed, score in enumerate((0.5, 0.9))),
        *(result("other", score, score, seed=seed) for seed, score in enumerate((0.52, 0.94))),
    ]
    (figure,) = told_beside("plain", ["other", "absent"])(Book(runs))
    assert figure.value == pytest.approx(3.0)
    assert "standard error 1.00" in figure.method
    assert figure.passed


def test_a_fall_has_a_bar() -> None:
    book = Book([result("m", 0.8, 0.8), result("a", 0.79, 0.79), result("b", 0.7, 0.7)])
    small, large = falls("m", ["a", "b", "absent"], "average", 2.0)(book)
    assert (small.value, small.passed) == (pytest.approx(1.0), True)
    assert (large.value, large.passed) == (pytest.approx(10.0), False)


def test_ours_may_be_a_standard_error_under_theirs() -> None:
    theirs = [result("theirs", 0.7, 0.7, seed=0), result("theirs", 0.8, 0.8, seed=1)]  # 75 +- 5
    for mean, passed in ((0.701, True), (0.699, False)):
        (figure,) = against({"ours": "theirs"})(Book([*theirs, result("ours", mean, mean)]))
        assert (figure.passed, figure.bar) == (passed, ">= 70")


def test_bars_against_joint() -> None:
    book = Book([result("joint", 0.9, 0.9), result("m", 0.88, 0.89)])
    points, share = near_joint("m", points=1.0, share=0.98)(book)
    assert (points.value, points.passed) == (pytest.approx(1.5), False)
    assert (share.value, share.passed) == (pytest.approx(0.9833, abs=1e-4), True)


def test_a_margin_is_outside_both_error_bars() -> None:
    others = [result("other", 0.7, 0.7, seed=0), result("other", 0.8, 0.8, seed=1), result("worse", 0.1, 0.1)]
    for mean, passed in ((0.81, True), (0.79, False)):
        (figure,) = beats("m", ["other", "worse", "absent"])(Book([*others, result("m", mean, mean)]))
        assert figure.passed is passed
        assert figure.value == pytest.approx(100 * mean - 80)


def test_bars_on_forgetting_and_on_what_was_served() -> None:
    book = Book([result("m", 0.87, 0.9, drop=0.02)])
    (forgetting,) = at_most("m", "forgetting", 2.0)(book)
    (regret,) = at_most("m", "served regret", 1.0)(book)
    (refused,) = at_most("m", "refused releases", 34.0)(book)
    assert (forgetting.value, forgetting.passed) == (pytest.approx(3.0), False)
    assert (regret.value, regret.passed) == (pytest.approx(2.0), False)
    assert (refused.value, refused.passed) == (pytest.approx(33.3333, abs=1e-3), True)


def test_a_table_tells_every_method_once() -> None:
    methods = tuple(Method(name=name, strategy=FineTuningConfig()) for name in ("joint", "m"))
    table = Table("k", "title", Experiment(methods=methods), (near_joint("m", points=1.0),), also=("forgetting",))
    names = [f.figure for f in table.figures([result("joint", 0.9, 0.9), result("m", 0.8, 0.9)])]
    assert len(names) == len(set(names))
    assert f"title: {NAME}, m under joint" in names
    assert f"title: {NAME}, m" in names
    assert f"title: {NAME}, m, forgetting" in names


def test_the_page_says_where_nothing_was_measured(tmp_path: Path) -> None:
    assert "Not measured yet" in page(tmp_path)
    write_results([measured("digits: x", 1.0, "%", "so", at_least=2.0)], tmp_path / "learning.json")
    assert "## Digits" in page(tmp_path)
    assert "MISSED" in page(tmp_path)


def test_the_default_is_shown_beside_its_rivals(tmp_path: Path) -> None:
    figures = [
        measured("digits: s, 5 domains, replay", 70.0, "%", "so"),
        measured("digits: s, 5 domains, default", 80.04, "%", "so"),
        measured("digits: s, 5 domains, default, forgetting", 3.0, "%", "so"),
        measured("mnist: t, replay 200", 60.0, "%", "so"),
        measured("mnist: t, default", 65.0, "%", "so"),
        measured("mnist: alone, default", 64.0, "%", "so"),
    ]
    write_results(figures, tmp_path / "learning.json")
    rows = [line.split(" | ") for line in page(tmp_path).splitlines() if line.startswith(("| digits: s", "| mnist: t"))]
    shown = {row[0].removeprefix("| "): (row[1], row[5]) for row in rows if row[1].strip().replace(".", "").isdigit()}
    assert shown["digits: s, 5 domains"] == ("80.0", "70.0")
    assert shown["mnist: t"] == ("65.0", "60.0")
    assert "mnist: alone" not in shown
