"""The figures of a course whose every moment is known."""

from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.figures import Figure
from benchmarks.load import overload
from benchmarks.load.books import Books, Line
from benchmarks.load.overload import Course, Overload
from benchmarks.load.processes import Pinning, Watch

COURSE = Course(
    capacity=10.0,
    before=(0.0, 10.0),
    overload=(10.0, 20.0),
    alone=(20.0, 30.0),
    both=(30.0, 40.0),
    drained=40.0,
    after=(50.0, 60.0),
    backlog=300,
    overloaded=300,
)


def lines(rates: dict[tuple[float, float], float], latencies: dict[tuple[float, float], float]) -> list[Line]:
    found = []
    for (begin, end), rate in rates.items():
        for number in range(int((end - begin) * rate)):
            at = begin + (number + 0.5) / rate
            found.append(Line(f"{at}", "w", "p", 1, at, latencies.get((begin, end), 5.0)))
    return found


RATES = {COURSE.before: 5.0, COURSE.overload: 9.0, COURSE.alone: 10.0, COURSE.both: 19.0, COURSE.after: 5.0}
LATENCIES = {COURSE.before: 0.05, COURSE.after: 0.06}


def figures(
    monkeypatch: pytest.MonkeyPatch,
    rates: dict[tuple[float, float], float] = RATES,
    latencies: dict[tuple[float, float], float] = LATENCIES,
    memory: dict[float, float] | None = None,
    pinning: Pinning = Pinning((3, 2), (0, 1)),  # noqa: B008 - frozen
) -> dict[str, Figure]:
    monkeypatch.setattr(overload, "simulated", lambda *_: [SimpleNamespace()] * overload.WELD_FRAMES)
    books = Books()
    books.lines = lines(rates, latencies)
    books.requests.wanted = {"a": 15_000}
    books.requests.found = {"a": 15_004}
    books.alerts.wanted = {"b": 15_000}
    books.alerts.found = {"b": 15_001}
    bench: Any = SimpleNamespace(
        books=books, pinning=pinning, rig=SimpleNamespace(kafka=SimpleNamespace(topic=lambda _: "t"))
    )
    run = Overload(bench, minutes=1 / 6, steady_seconds=10.0)
    run._traffic.sent = len(books.lines)
    watch = Watch(lambda: 0.0, lambda: 0.0, [(float(at), (memory or {}).get(at, 100.0)) for at in range(61)])
    return {figure.figure: figure for figure in run._figures(COURSE, watch)}


def missed(found: dict[str, Figure]) -> set[str]:
    return {name for name, figure in found.items() if not figure.passed}


def test_a_course_as_it_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    found = figures(monkeypatch)
    assert missed(found) == set()
    assert found["two processes over one"].value == pytest.approx(1.9)
    assert found["frames/s judged in overload over capacity"].value == pytest.approx(0.9)
    assert found["end of the overload to no lag, over what one process needs at its capacity"].value == pytest.approx(
        20 / 30, abs=1e-3
    )
    assert found["judgement to its review requests, longest"].value == 0.004


def test_a_service_that_collapses_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = missed(figures(monkeypatch, rates=RATES | {COURSE.overload: 5.0}))
    assert found == {"frames/s judged in overload over capacity"}


def test_latency_that_does_not_recover_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missed(figures(monkeypatch, latencies=LATENCIES | {COURSE.after: 0.07})) == {
        "p99 latency after the overload over before"
    }


def test_memory_that_grows_with_the_backlog_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    growing = {float(at): 100.0 + 10 * (at - 10) for at in range(10, 41)}
    assert missed(figures(monkeypatch, memory=growing)) == {
        "resident memory in overload, highest, over steady before",
        "growth of resident memory in overload",
    }


def test_scale_has_a_bar_only_where_the_cores_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = RATES | {COURSE.both: 15.0}
    assert missed(figures(monkeypatch, rates=slow)) == {"two processes over one"}
    shared = figures(monkeypatch, rates=slow, pinning=Pinning((1, 0), (0, 1)))
    assert missed(shared) == set()
    assert "no core of its own" in shared["two processes over one"].method
