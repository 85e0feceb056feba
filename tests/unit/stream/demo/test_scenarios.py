"""Scenarios keep held-out welds apart and give the same exam twice."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from stream.demo.scenarios import MlNdt, Scenario, Simulated, Tiles
from stream.simulator import DOMAINS

TAKE = 40


def make(name: str, shared_data: Path) -> Scenario:
    simulated = Simulated(DOMAINS[:2], seed=3, held_out_share=0.3, exam_frames=6, run_id="run")
    match name:
        case "simulated":
            return simulated
        case "tiles":
            return Tiles(shared_data / "magnetic_tile", seed=3, held_out_share=0.3, exam_frames=6, run_id="run")
        case _:
            return MlNdt(simulated, shared_data / "ml_ndt", run_id="run")


@pytest.mark.parametrize("name", ["simulated", "tiles", "ml-ndt"])
def test_contract(name: str, shared_data: Path) -> None:
    scenario = make(name, shared_data)
    assert len(scenario.domains) == len(set(scenario.domains)) >= 2
    first = list(itertools.islice(scenario.first_labels(), 4))
    assert {scan.frame.domain for scan in first} == {scenario.domains[0]}
    ids = set()
    for index, domain in enumerate(scenario.domains):
        shown = list(itertools.islice(scenario.stream(index), TAKE))
        assert {s.scan.frame.domain for s in shown if not s.held_out} == {domain}
        assert {s.scan.frame.domain for s in shown if s.held_out} <= set(scenario.domains[: index + 1])
        for s in shown:
            assert s.scan.frame.frame_id not in ids, "every frame has an id of its own"
            ids.add(s.scan.frame.frame_id)
            assert s.scan.mask is not None
            assert s.scan.mask.shape == s.scan.pixels.shape
            assert s.scan.mask.max() < len(scenario.classes)


@pytest.mark.parametrize("name", ["simulated", "tiles", "ml-ndt"])
def test_an_exam_is_the_same_pixels_under_new_ids(name: str, shared_data: Path) -> None:
    scenario = make(name, shared_data)
    one, two = (list(scenario.exam(1, exam)) for exam in ("start:x", "end"))
    assert len(one) == len(two) > 0
    for a, b in zip(one, two, strict=True):
        assert a.held_out
        assert a.scan.frame.frame_id != b.scan.frame.frame_id
        np.testing.assert_array_equal(a.scan.pixels, b.scan.pixels)


def test_tiles_of_a_group_are_all_learned_or_all_held_out(shared_data: Path) -> None:
    scenario = make("tiles", shared_data)
    groups: dict[str, set[bool]] = {}
    for index in range(len(scenario.domains)):
        for shown in itertools.islice(scenario.stream(index), 200):
            group = shown.scan.frame.weld_id.split("-tile-")[1].split("-")[0]
            groups.setdefault(group, set()).add(shown.held_out)
    assert all(len(kept) == 1 for kept in groups.values())


def test_measured_flaws_are_masked_where_the_label_says_so(shared_data: Path) -> None:
    scenario = make("ml-ndt", shared_data)
    marked = [bool(s.scan.mask.any()) for s in scenario.exam(1, "end") if s.scan.mask is not None]
    assert marked == [True, False, True, True, False, True, True, False, True, True]
    assert all(s.scan.mask.mean() < 0.05 for s in scenario.exam(1, "end") if s.scan.mask is not None)
