from dataclasses import replace

import pytest

from benchmarks.load.books import Account, Line, account
from benchmarks.load.overload import percentile_ms, rate, seconds
from benchmarks.load.swaps import within


def line(at: float, frame: str = "", **changes: object) -> Line:
    return replace(Line(frame or f"f{at}", "w", "p", 1, at, 0.1), **changes)


def test_the_rate_is_what_was_judged_between_the_first_and_the_last_of_a_span() -> None:
    assert rate([line(t) for t in (0.0, 10.0, 11.0, 12.0, 20.0)], (9.0, 15.0)) == 1.0


def test_a_span_in_which_nothing_was_judged_has_no_rate() -> None:
    with pytest.raises(ValueError, match="let it run longer"):
        rate([line(1.0)], (5.0, 9.0))


def test_latencies_of_a_span() -> None:
    lines = [line(1.0, latency=0.5), line(5.0, latency=0.1), line(6.0, latency=0.3)]
    assert percentile_ms(lines, (4.0, 7.0), 100) == pytest.approx(300)
    assert seconds((4.0, 7.0)) == 3.0


def test_frames_are_inside_a_swap_from_its_announcement_to_its_first_judgement() -> None:
    lines = [line(t, latency=t) for t in (0.5, 1.0, 1.5, 2.0, 2.5, 3.5, 9.0)]
    assert within(lines, [(1.0, 2.0), (3.0, 4.0)]) == [1.0, 1.5, 2.0, 3.5]


@pytest.mark.parametrize(
    ("lines", "sent", "found"),
    [
        ([line(1, "a"), line(2, "b")], 2, Account(0, 0, 0, 0)),
        ([line(1, "a"), line(2, "b")], 3, Account(1, 0, 0, 0)),
        ([line(1, "a"), line(2, "a")], 1, Account(0, 1, 0, 0)),
        ([line(1, "a", version=1), line(2, "b", version=2)], 2, Account(0, 0, 1, 0)),
        ([line(1, "a", pass_id="p"), line(2, "b", pass_id="q", version=2)], 2, Account(0, 0, 0, 1)),
        ([line(1, "a", weld_id="w"), line(2, "b", weld_id="v", version=2)], 2, Account(0, 0, 0, 0)),
    ],
)
def test_the_account(lines: list[Line], sent: int, found: Account) -> None:
    assert account(lines, sent) == found
