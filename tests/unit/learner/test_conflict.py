import json

import numpy as np
import pytest

from learner.conflict import ConflictWatch, Opposition
from learner.settings import InspectorSettings


def label_welds(watch: ConflictWatch, who: str, mean: float, welds: int, *, domain: str = "a", seed: int = 0) -> None:
    for found in opposed(watch, who, mean, welds, domain=domain, seed=seed):
        assert found is None


def opposed(
    watch: ConflictWatch, who: str, mean: float, welds: int, *, domain: str = "a", each: int = 2, seed: int = 0
) -> list[Opposition | None]:
    """Let somebody label welds whose cosines scatter widely about a mean; return what was said of each label."""
    rng = np.random.default_rng([seed, *who.encode()])
    return [
        watch.add(who, domain, f"{who}-{weld}", f"{who}-{weld}-{n}", float(np.clip(rng.normal(mean, 0.3), -1, 1)))
        for weld in range(welds)
        for n in range(each)
    ]


def test_who_opposes_where_the_others_do_not_is_found() -> None:
    watch = ConflictWatch(InspectorSettings())
    label_welds(watch, "ann", 0.5, 6)
    label_welds(watch, "ben", 0.5, 6)
    found = next(f for f in opposed(watch, "mallory", -0.9, 6) if f)
    assert (found.opposed, found.welds, found.others_welds) == (4, 4, 12)
    assert found.p_value < 0.005


@pytest.mark.parametrize("mean", [0.3, 0.0, -0.3])
@pytest.mark.parametrize("seed", range(20))
def test_nobody_is_found_where_all_oppose_alike(mean: float, seed: int) -> None:
    """As in a domain that the network does not know yet."""
    watch = ConflictWatch(InspectorSettings())
    for who in ("ann", "ben", "cleo"):
        label_welds(watch, who, mean, 8, seed=seed)


def test_an_inspector_alone_is_never_found() -> None:
    watch = ConflictWatch(InspectorSettings())
    label_welds(watch, "ann", 0.9, 8)
    label_welds(watch, "ann", -0.9, 8)


def test_domains_are_not_compared_with_each_other() -> None:
    watch = ConflictWatch(InspectorSettings())
    label_welds(watch, "ann", 0.9, 8, domain="easy")
    label_welds(watch, "ben", -0.9, 8, domain="hard")


def test_many_frames_of_one_weld_are_one_observation() -> None:
    watch = ConflictWatch(InspectorSettings())
    label_welds(watch, "ann", 0.9, 8)
    assert not any(opposed(watch, "ben", -0.9, 1, each=100))


def test_a_restarted_watch_goes_on_where_it_stood() -> None:
    watch = ConflictWatch(InspectorSettings())
    label_welds(watch, "ann", 0.9, 8)
    assert not any(opposed(watch, "ben", -0.9, 3))
    again = ConflictWatch(InspectorSettings())
    again.restore(json.loads(json.dumps(watch.state())))
    assert again.add("ben", "a", "fourth", "fourth", -0.9) == watch.add("ben", "a", "fourth", "fourth", -0.9)
    assert watch.add("ben", "a", "fifth", "fifth", -0.9) is not None


def test_a_forgotten_inspector_begins_anew() -> None:
    watch = ConflictWatch(InspectorSettings())
    label_welds(watch, "ann", 0.9, 8)
    assert any(opposed(watch, "ben", -0.9, 5))
    watch.forget("ben")
    assert watch.add("ben", "a", "another", "another", -0.9) is None
