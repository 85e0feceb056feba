from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from benchmarks.swaps import _NEVER, _by_window, _wait

START = datetime(2024, 5, 1, tzinfo=UTC)


def judgement(at: float, version: int = 1, latency: float = 0.1) -> Any:
    """What of a judgement the figures are made of."""
    return SimpleNamespace(
        judged_at=START + timedelta(seconds=at), model=SimpleNamespace(version=version), latency_seconds=latency
    )


def test_judgements_are_told_apart_by_whether_a_swap_was_announced_just_before() -> None:
    judgements = [judgement(0, latency=1), judgement(5, latency=2), judgement(6, latency=3), judgement(6.1, latency=4)]
    steady, during = _by_window(judgements, [START + timedelta(seconds=5)])
    assert (steady, during) == ([1, 4], [2, 3])


def test_a_swap_is_over_with_the_first_judgement_of_its_version() -> None:
    judgements = [judgement(0.5, 2), judgement(1.2, 1), judgement(1.5, 2), judgement(1.7, 2)]
    assert _wait(judgements, 2, START + timedelta(seconds=1)) == 0.5


def test_a_swap_that_the_next_one_overtook_never_came() -> None:
    assert _wait([judgement(3.5, 2)], 2, START + timedelta(seconds=1)) == _NEVER
