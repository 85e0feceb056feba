"""What every store of samples must do; a subclass gives the fixture ``store``."""

import hashlib

import numpy as np
import pytest
from scipy.stats import chi2, chisquare

from memory.admission import chance_of
from memory.episodic import EpisodicMemory
from memory.samples import Sample
from memory.sampling import Balanced, Uniform
from memory.stores.base import Admission, Capacity, DomainStats, MemoryFullError, SampleStore
from schemas.judgements import RecordPosition

WIDE = Capacity(samples=1000, bytes=10**9)


def make_sample(label: str, domain: str = "a", offset: int | None = None, side: int = 2) -> Sample:
    pixels = np.frombuffer(hashlib.sha256(label.encode()).digest(), np.uint16)[: side * 1].reshape(1, -1)
    pixels = np.ascontiguousarray(np.resize(pixels, (side, side)))
    return Sample(
        label_id=label,
        domain=domain,
        weld_id="w",
        pixels=pixels,
        mask=np.ones((side, side), np.uint8),
        source=None if offset is None else RecordPosition(topic="labels", partition=0, offset=offset),
    )


def memory_on(store: SampleStore, capacity: Capacity, seed: int = 1) -> EpisodicMemory:
    return EpisodicMemory(store, capacity, seed=seed, rng=np.random.default_rng(seed))


async def stored_labels(store: SampleStore) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for sample in await store.draw(Uniform(10**6), 1):
        found.setdefault(sample.domain, set()).add(sample.label_id)
    return found


class SampleStoreContract:
    trials = 300
    """Memories filled to see a bias; a store in this process can afford what it takes to see an off-by-one."""

    async def test_a_sample_comes_back_as_it_was(self, store: SampleStore) -> None:
        sample = make_sample("l", offset=3)
        assert await memory_on(store, WIDE).admit(sample) == Admission(admitted=True, duplicate=False)
        (drawn,) = await store.draw(Uniform(5), 7)
        assert drawn.to_bytes() == sample.to_bytes()
        assert await store.offsets() == {("labels", 0): 4}

    async def test_a_known_label_changes_nothing_even_after_its_eviction(self, store: SampleStore) -> None:
        memory = memory_on(store, Capacity(2, 10**9))
        for i in range(20):
            await memory.admit(make_sample(f"l{i}"))
        before = await stored_labels(store), await memory.stats()
        for i in range(20):
            assert (await memory.admit(make_sample(f"l{i}"))).duplicate
        assert (await stored_labels(store), await memory.stats()) == before

    async def test_an_old_offset_is_a_repetition(self, store: SampleStore) -> None:
        memory = memory_on(store, WIDE)
        await memory.admit(make_sample("x", offset=5))
        assert (await memory.admit(make_sample("y", offset=4))).duplicate
        assert (await memory.admit(make_sample("x", offset=9))).duplicate
        assert await memory.offsets() == {("labels", 0): 10}

    async def test_a_new_domain_takes_its_share(self, store: SampleStore) -> None:
        memory = memory_on(store, Capacity(12, 10**9))
        for i in range(30):
            await memory.admit(make_sample(f"a{i}", "a"))
        admission = await memory.admit(make_sample("b0", "b"))
        assert len(admission.evicted) == 6
        assert {d: s.stored for d, s in (await memory.stats()).domains.items()} == {"a": 6, "b": 1}

    async def test_bytes_are_bounded(self, store: SampleStore) -> None:
        size = len(make_sample("a00").to_bytes())
        memory = memory_on(store, Capacity(100, 5 * size + 1))
        for i in range(40):
            await memory.admit(make_sample(f"a{i:02}", "a" if i % 2 else "b"))
            stats = (await memory.stats()).domains.values()
            assert sum(d.bytes for d in stats) <= 5 * size + 1
        assert sum(d.stored for d in stats) == 5
        with pytest.raises(MemoryFullError, match="whole memory"):
            await memory.admit(make_sample("large", side=40))

    async def test_samples_are_bounded_when_domains_outnumber_them(self, store: SampleStore) -> None:
        memory = memory_on(store, Capacity(3, 10**9))
        for i in range(8):
            await memory.admit(make_sample(f"l{i}", f"d{i}"))
            assert sum(d.stored for d in (await memory.stats()).domains.values()) <= 3

    async def test_draws_follow_the_policy_without_repeating(self, store: SampleStore) -> None:
        memory = memory_on(store, WIDE)
        for i in range(10):
            for domain in "abc":
                await memory.admit(make_sample(f"{domain}{i}", domain))

        async def counts(policy: Uniform | Balanced) -> dict[str, int]:
            drawn = await memory.draw(policy)
            assert len({s.label_id for s in drawn}) == len(drawn)
            return {d: sum(s.domain == d for s in drawn) for d in "abc"}

        assert await counts(Balanced(4)) == {"a": 4, "b": 4, "c": 4}
        assert await counts(Balanced(40, exclude=("b",))) == {"a": 10, "b": 0, "c": 10}
        assert await counts(Balanced({"a": 2, "c": 3})) == {"a": 2, "b": 0, "c": 3}
        assert await counts(Uniform(7, domains=("c",))) == {"a": 0, "b": 0, "c": 7}
        assert sum((await counts(Uniform(9))).values()) == 9
        assert sum((await counts(Uniform(9, domains=()))).values()) == 0

    async def test_clearing_and_admitting_again_gives_the_same_memory(self, store: SampleStore) -> None:
        memory = memory_on(store, Capacity(7, 10**9))
        for _ in range(2):
            await memory.clear()
            assert await memory.offsets() == {}
            assert (await memory.stats()).domains == {}
            for i in range(60):
                await memory.admit(make_sample(f"l{i}", "abc"[i % 3 if i > 20 else 0], offset=i))
            if _ == 0:
                first = await store.draw(Uniform(99), 5), await memory.stats()
        again = await store.draw(Uniform(99), 5), await memory.stats()
        assert [s.to_bytes() for s in again[0]] == [s.to_bytes() for s in first[0]]
        assert again[1] == first[1]
        assert again[1].domains["a"] == DomainStats(34, 2, again[1].domains["a"].bytes)

    @pytest.mark.parametrize("newcomer_at", [None, 10])
    async def test_every_label_is_as_likely_to_be_kept(self, store: SampleStore, newcomer_at: int | None) -> None:
        kept = np.zeros(16)
        for seed in range(self.trials):
            await store.clear()
            for i in range(16):
                if i == newcomer_at:
                    await store.admit(make_sample("b", "b"), Capacity(8, 10**9), chance_of(seed, "b"))
                await store.admit(make_sample(f"{i}"), Capacity(8, 10**9), chance_of(seed, f"{i}"))
            for label in (await stored_labels(store))["a"]:
                kept[int(label)] += 1
        # Labels are kept without replacement: counts vary by p (1 - p), not by p as a plain chi-square takes it.
        share = kept.mean() / self.trials
        statistic = ((kept - kept.mean()) ** 2).sum() / (kept.mean() * (1 - share)) * 15 / 16
        assert chi2.sf(statistic, df=15) > 1e-3

    async def test_every_stored_sample_is_as_likely_to_be_drawn(self, store: SampleStore) -> None:
        memory = memory_on(store, WIDE)
        for i in range(8):
            await memory.admit(make_sample(f"{i}"))
        drawn = np.zeros(8)
        for _ in range(400):
            for sample in await memory.draw(Uniform(3)):
                drawn[int(sample.label_id)] += 1
        assert chisquare(drawn).pvalue > 1e-3
