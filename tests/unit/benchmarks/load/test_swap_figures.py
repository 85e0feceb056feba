import math

import pytest

from benchmarks.load.books import Line
from benchmarks.load.stalls import Distribution
from benchmarks.load.swaps import Course, _latency, _loop, _memory

QUICK = Distribution({0.005: 100.0, 0.01: 100.0, math.inf: 100.0})
SLOW = Distribution({0.005: 90.0, 0.01: 95.0, 0.02: 100.0, math.inf: 100.0})


def line(at: float, latency: float) -> Line:
    return Line(f"{at}", "w", "p", 1, at, latency)


@pytest.mark.parametrize(("last", "passed"), [(104, True), (106, False)])
def test_memory_after_the_last_swaps_is_held_against_the_first(last: int, passed: bool) -> None:
    course = Course(resident=[2**20, 7 * 2**20], rest=[100] * 2 + [1000] * 6 + [last] * 2)
    drift, _, most = _memory(course, "how")
    assert drift.value == pytest.approx(last / 100 - 1)
    assert drift.passed is passed
    assert most.value == 7


@pytest.mark.parametrize(("slow", "passed"), [(0.12, True), (0.13, False)])
def test_latency_in_swap_windows_is_held_against_that_between(slow: float, passed: bool) -> None:
    course = Course(swaps=[(0.0, 1.0), (1.0, 1.5)], steady=[(10.0, 20.0)])
    ratio, *_ = _latency(course, [line(0.5, slow), line(1.2, slow), line(5.0, 9.0), line(15.0, 0.1)], "how")
    assert ratio.value == pytest.approx(slow / 0.1)
    assert ratio.passed is passed


def test_stalls_while_swapping_have_a_bar_and_all_others_are_told() -> None:
    quick = {figure.figure: figure for figure in _loop({"swap": QUICK, "serving": SLOW}, [0.001, 0.02], "how")}
    assert all(figure.passed for figure in quick.values())
    assert quick["loop stall while a model is swapped, p99"].value == 5
    assert quick["loop stall otherwise, longest"].value == 20
    assert quick["loop stall of an idle process, longest"].value == 20
    assert quick["quarters of a second with a stall over 10 ms, otherwise"].value == 5
    slow = [figure for figure in _loop({"swap": SLOW, "serving": QUICK}, [0.001], "how") if not figure.passed]
    assert [figure.figure for figure in slow] == ["loop stall while a model is swapped, p99"]
