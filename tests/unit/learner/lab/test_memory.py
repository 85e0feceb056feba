from collections import Counter

import numpy as np
import pytest
import torch
from scipy import stats

from learner.lab.memory import TOGETHER, LabMemory
from learner.lab.settings import MemoryConfig
from learner.strategies import Batch


def memory(domains: int = 2, seed: int = 0, **settings: object) -> LabMemory:
    return LabMemory(MemoryConfig.model_validate(settings), domains, np.random.default_rng(seed))


def batch(values: range, label: int | None = None) -> Batch:
    """Images that tell which they are."""
    images = torch.tensor([[float(v)] for v in values])
    return Batch(images, torch.tensor([v % 2 if label is None else label for v in values]))


def kept(memory: LabMemory) -> list[int]:
    """What lies in memory, by the only way out of it."""
    drawn = memory.draw({i: str(i) for i in range(9)})
    return sorted(int(v) for group in drawn.values() for v in group.images.flatten())


def test_a_reservoir_keeps_every_sample_with_the_same_chance() -> None:
    counts: Counter[int] = Counter()
    for seed in range(2000):
        m = memory(seed=seed, samples=5, draw=None)
        for start in range(0, 20, 4):
            m.add(batch(range(start, start + 4)), start // 10)
        counts.update(kept(m))
    assert sum(counts.values()) == 10_000
    assert stats.chisquare([counts[i] for i in range(20)]).pvalue > 0.001


def test_class_balance_holds_whatever_the_stream_has() -> None:
    m = memory(samples=20, policy="class_balanced", draw=None)
    m.add(batch(range(100), label=0), 0)
    m.add(batch(range(100, 110), label=1), 0)
    drawn = m.draw({0: "a"})["a"]
    assert Counter(drawn.targets.tolist()) == {0: 10, 1: 10}


def test_domain_balance_holds() -> None:
    m = memory(domains=3, samples=30, policy="domain_balanced", draw=None)
    for domain in range(3):
        m.add(batch(range(200)), domain)
    assert [m.count(domain) for domain in range(3)] == [10, 10, 10]


def test_a_ring_keeps_the_newest_of_each_domain() -> None:
    m = memory(samples=6, policy="ring", draw=None)
    m.add(batch(range(10)), 0)
    m.add(batch(range(10, 15)), 1)
    assert kept(m) == [7, 8, 9, 12, 13, 14]


def test_a_domain_that_ended_gives_its_share() -> None:
    m = memory(domains=4, samples=8, fill="domain", policy="ring", draw=None)
    m.fill(batch(range(50)), 0)
    assert len(m) == m.count(0) == 2


def test_a_draw_is_of_the_domains_that_are_named() -> None:
    m = memory(samples=20, draw=4, per_domain=True)
    m.add(batch(range(5)), 0)
    m.add(batch(range(5, 10)), 1)
    assert {name: len(group) for name, group in m.draw({0: "a", 1: "b"}).items()} == {"a": 4, "b": 4}
    assert list(m.draw({1: "b"})) == ["b"]
    assert m.draw({}) == {}


def test_two_draws_are_one_group_whose_halves_are_independent() -> None:
    m = memory(samples=50, draw=10, draws=2)
    m.add(batch(range(50)), 0)
    group = m.draw({0: "a"})[TOGETHER]
    first, second = group.images.flatten()[:10].tolist(), group.images.flatten()[10:].tolist()
    assert len(set(first)) == len(set(second)) == 10
    assert set(first) != set(second)


def test_logits_stay_with_their_sample() -> None:
    m = memory(samples=5, draw=None, logits=True)
    new = batch(range(40))
    m.add(new, 0, logits=2 * new.images.repeat(1, 3))
    drawn = m.draw({0: "a"})["a"]
    assert drawn.logits is not None
    torch.testing.assert_close(drawn.logits, 2 * drawn.images.repeat(1, 3))


def test_a_memory_of_logits_wants_them() -> None:
    with pytest.raises(ValueError, match="logits"):
        memory(logits=True).add(batch(range(2)), 0)
