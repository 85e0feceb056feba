import math

import pytest

from benchmarks.peers.counting import first_of, latencies, mixed, p99, split, tally
from benchmarks.peers.peer import Answer


def judged(frame_id: str, at: float = 1.0, version: int = 1) -> Answer:
    return Answer(frame_id, at, version)


def refused(frame_id: str, at: float = 1.0) -> Answer:
    return Answer(frame_id, at, refused="status 503")


def test_each_frame_is_lost_or_refused_or_judged_and_twice_only_where_it_was() -> None:
    answers = [judged("once"), judged("twice"), judged("twice"), refused("refused"), judged("of another run")]
    found = tally(["once", "twice", "refused", "lost"], answers)
    assert found.sent == 4
    assert (found.lost, found.twice, found.refused) == (("lost",), ("twice",), ("refused",))


def test_a_refusal_that_a_judgement_made_good_is_none() -> None:
    found = tally(["a"], [refused("a"), judged("a")])
    assert (found.lost, found.twice, found.refused) == ((), (), ())


def test_two_refusals_are_not_two_judgements() -> None:
    assert tally(["a"], [refused("a"), refused("a")]).twice == ()


def test_nothing_sent_is_nothing_lost() -> None:
    assert tally([], [judged("a")]).lost == ()


def test_the_first_judgement_of_a_frame_ends_its_waiting() -> None:
    answers = [judged("a", 5.0), judged("a", 3.0), refused("b", 2.0), judged("unknown", 2.0)]
    assert latencies({"a": 1.0, "b": 1.0}, answers) == {"a": 2.0}


def test_a_version_has_come_when_it_or_a_later_one_judges() -> None:
    answers = [judged("a", 1.0, 1), judged("b", 2.0, 3), judged("c", 3.0, 2), refused("d", 0.5)]
    assert first_of(2, answers) == 2.0
    assert first_of(4, answers) is None


def test_a_weld_is_mixed_where_two_versions_judged_it() -> None:
    welds = {"a1": "a", "a2": "a", "b1": "b", "b2": "b", "c1": "c"}
    answers = [judged("a1", version=1), judged("a2", version=2), judged("b1", version=2), judged("b2", version=2)]
    assert mixed(welds, [*answers, refused("c1"), judged("c1", version=2), judged("x", version=9)]) == ("a",)


def test_frames_are_told_apart_by_when_they_were_sent() -> None:
    sent = {"before": 0.9, "at once": 1.0, "within": 1.5, "last": 2.0, "after": 2.1, "never answered": 1.5}
    taken = {frame_id: sent[frame_id] for frame_id in sent if frame_id != "never answered"}
    assert split(sent, taken, [(1.0, 2.0)]) == ([0.9, 2.1], [1.0, 1.5, 2.0])
    assert split(sent, taken, []) == ([0.9, 1.0, 1.5, 2.0, 2.1], [])


def test_the_99th_percentile_of_nothing_is_no_number() -> None:
    assert p99([float(i) for i in range(101)]) == pytest.approx(99.0)
    assert math.isnan(p99([]))
