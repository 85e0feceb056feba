import json

import numpy as np
import pytest

from learner.agreement import AgreementWatch, Suspicion
from learner.settings import InspectorSettings


def label_welds(
    watch: AgreementWatch, who: str, mean: float, welds: int, *, domain: str = "a", each: int = 5, seed: int = 0
) -> list[Suspicion]:
    rng = np.random.default_rng([seed, *who.encode()])
    found = []
    for weld in range(welds):
        level = mean + rng.normal(0, 0.08)
        for number in range(each):
            agreement = float(np.clip(level + rng.normal(0, 0.1), 0, 1))
            found.append(watch.add(who, domain, f"{who}-{weld}", f"{who}-{weld}-{number}", agreement))
    return [suspicion for suspicion in found if suspicion]


def test_who_disagrees_where_the_others_agree_is_suspected() -> None:
    watch = AgreementWatch(InspectorSettings())
    assert not label_welds(watch, "ann", 0.8, 6)
    assert not label_welds(watch, "ben", 0.75, 6)
    found = label_welds(watch, "mallory", 0.1, 6)
    assert found
    assert found[0].welds == 4
    assert found[0].agreement < 0.3
    assert found[0].others > 0.6
    assert found[0].p_value < 0.01


@pytest.mark.parametrize("seed", range(20))
def test_nobody_is_suspected_where_all_disagree_alike(seed: int) -> None:
    """As after a bad release, or in a domain that the served version does not know."""
    watch = AgreementWatch(InspectorSettings())
    for who in ("ann", "ben", "cleo"):
        assert not label_welds(watch, who, 0.3, 8, seed=seed)


def test_a_single_inspector_is_never_suspected() -> None:
    watch = AgreementWatch(InspectorSettings())
    assert not label_welds(watch, "ann", 0.8, 8)
    assert not label_welds(watch, "ann", 0.0, 8)


def test_domains_are_not_compared_with_each_other() -> None:
    watch = AgreementWatch(InspectorSettings())
    assert not label_welds(watch, "ann", 0.9, 8, domain="easy")
    assert not label_welds(watch, "ben", 0.1, 8, domain="hard")


def test_many_frames_of_one_weld_are_one_observation() -> None:
    watch = AgreementWatch(InspectorSettings())
    label_welds(watch, "ann", 0.8, 8)
    assert not label_welds(watch, "ben", 0.0, 1, each=200)


def test_old_welds_are_forgotten() -> None:
    watch = AgreementWatch(InspectorSettings(window_welds=4))
    label_welds(watch, "ann", 0.8, 8)
    assert label_welds(watch, "ben", 0.1, 4)
    for weld in range(4):
        watch.add("ben", "a", f"better-{weld}", f"better-{weld}", 0.8)
    assert watch.add("ben", "a", "better-3", "better-3", 0.8) is None


def test_a_forgotten_inspector_begins_anew() -> None:
    watch = AgreementWatch(InspectorSettings())
    label_welds(watch, "ann", 0.8, 8)
    assert label_welds(watch, "ben", 0.1, 5)
    watch.forget("ben")
    assert watch.add("ben", "a", "another", "another", 0.1) is None


def test_a_label_that_is_read_again_after_a_restart_counts_once() -> None:
    watch = AgreementWatch(InspectorSettings(least_welds=2))
    label_welds(watch, "ann", 0.8, 8)
    watch.add("ben", "a", "weld-1", "label-1", 0.1)
    again = AgreementWatch(InspectorSettings(least_welds=2))
    again.restore(json.loads(json.dumps(watch.state())))
    for _ in range(9):
        assert again.add("ben", "a", "weld-1", "label-1", 0.1) is None
    found = again.add("ben", "a", "weld-2", "label-2", 0.12)
    assert found == watch.add("ben", "a", "weld-2", "label-2", 0.12)
    assert found is not None
    assert found.welds == 2
