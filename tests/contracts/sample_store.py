"""What every store of samples must do; a subclass gives the fixture ``store``."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2, chisquare

from memory.admission import EMBEDDING, EMBEDDING_SIZE, AdmissionPolicy, chance_of
from memory.episodic import EpisodicMemory
from memory.samples import Sample
from memory.sampling import Balanced, Uniform
from memory.stores.base import Admission, Capacity, DomainStats, MemoryFullError, SampleStore
from schemas.judgements import RecordPosition

WIDE = Capacity(samples=1000, bytes=10**9)


POLICIES: tuple[AdmissionPolicy, ...] = get_args(AdmissionPolicy)


def make_sample(
    label: str,
    domain: str = "a",
    offset: int | None = None,
    *,
    side: int = 2,
    shows: int = 1,
    embedding: Sequence[float] | None = None,
) -> Sample:
    """Return a sample of its own pixels that shows one class, and lies somewhere among the embeddings."""
    pixels = np.frombuffer(hashlib.sha256(label.encode()).digest(), np.uint16)[: side * 1].reshape(1, -1)
    pixels = np.ascontiguousarray(np.resize(pixels, (side, side)))
    return Sample(
        label_id=label,
        domain=domain,
        weld_id="w",
        pixels=pixels,
        mask=np.full((side, side), shows, np.uint8),
        extras={EMBEDDING: embed(label if embedding is None else embedding)},
        source=None if offset is None else RecordPosition(topic="labels", partition=0, offset=offset),
    )


def embed(of: str | Sequence[float]) -> NDArray[np.float32]:
    """Return the embedding that begins with some numbers, or one made of a label."""
    values = np.zeros(EMBEDDING_SIZE, np.float32)
    if isinstance(of, str):
        values[:] = np.frombuffer(hashlib.sha256(b"e" + of.encode()).digest(), np.int8).clip(-127)
    else:
        values[: len(of)] = of
    return values


def memory_on(store: SampleStore, capacity: Capacity, seed: int = 1) -> EpisodicMemory:
    return EpisodicMemory(store, capacity, seed=seed, rng=np.random.default_rng(seed))


async def stored_labels(store: SampleStore) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for sample in await store.draw(Uniform(10**6), 1):
        found.setdefault(sample.domain, set()).add(sample.label_id)
    return found


def uniform_p(kept: NDArray[np.float64], trials: int) -> float:
    """Return the p-value of a chi-square test that every label is as likely to be kept.

    Labels are kept without replacement: counts vary by p (1 - p), not by p as a plain chi-square takes it.
    """
    share, degrees = kept.mean() / trials, len(kept) - 1
    statistic = ((kept - kept.mean()) ** 2).sum() / (kept.mean() * (1 - share)) * degrees / len(kept)
    return float(chi2.sf(statistic, df=degrees))


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

    @pytest.mark.parametrize("policy", POLICIES)
    async def test_every_policy_keeps_within_both_bounds_and_decides_by_the_labels_alone(
        self, store: SampleStore, policy: AdmissionPolicy
    ) -> None:
        capacity = Capacity(9, 9 * len(make_sample("l00", shows=2).to_bytes()), policy=policy)
        memory = memory_on(store, capacity)
        runs = []
        for _ in range(2):
            await memory.clear()
            assert (await memory.stats()).domains == {}
            for i in range(60):
                sample = make_sample(f"l{i}", "abc"[i % 3 if i > 20 else 0], i, side=1 + i % 4, shows=i % 5)
                await memory.admit(sample)
                stats = (await memory.stats()).domains.values()
                assert sum(d.stored for d in stats) <= capacity.samples
                assert sum(d.bytes for d in stats) <= capacity.bytes
            for i in range(60):
                assert (await memory.admit(make_sample(f"l{i}", "b"))).duplicate
            drawn = await store.draw(Uniform(99), 5)
            assert sum(len(sample.to_bytes()) for sample in drawn) == sum(d.bytes for d in stats)
            runs.append(([sample.to_bytes() for sample in drawn], await memory.stats()))
        assert runs[0] == runs[1]
        assert sum(d.seen for d in runs[0][1].domains.values()) == 60

    async def test_classes_are_balanced_within_each_domain(self, store: SampleStore) -> None:
        memory = memory_on(store, Capacity(20, 10**9, policy="class_balanced"))
        for i in range(400):
            # One in twenty shows class 2, one in forty class 3, the others background or class 1.
            shows = 3 if i % 40 == 7 else 2 if i % 20 == 3 else i % 2
            await memory.admit(make_sample(f"l{i}", "ab"[i // 200], shows=shows))
        kept: dict[str, Counter[int]] = {}
        for sample in await store.draw(Uniform(99), 1):
            kept.setdefault(sample.domain, Counter())[int(sample.mask[0, 0])] += 1
        assert {domain: sum(counts.values()) for domain, counts in kept.items()} == {"a": 10, "b": 10}
        for counts in kept.values():
            assert sorted(counts) == [0, 1, 2, 3]
            assert max(counts.values()) - min(counts.values()) <= 1

    async def test_a_sample_counts_as_the_rarest_class_that_it_shows(self, store: SampleStore) -> None:
        memory = memory_on(store, Capacity(4, 10**9, policy="class_balanced"))
        for i in range(40):
            await memory.admit(make_sample(f"l{i}"))
        both = make_sample("both")
        both.mask[0, 0] = 4
        await memory.admit(both)
        for i in range(40, 80):
            await memory.admit(make_sample(f"l{i}"))
        assert "both" in (await stored_labels(store))["a"]

    async def test_every_label_of_a_class_is_as_likely_to_be_kept(self, store: SampleStore) -> None:
        # Class 1 fills the memory, then makes room for the few of class 2; of it a uniform sample must be left.
        kept = np.zeros(16)
        capacity = Capacity(6, 10**9, policy="class_balanced")
        for seed in range(self.trials):
            await store.clear()
            for i in range(16):
                if i in {9, 12}:
                    await store.admit(make_sample(f"r{i}", shows=2), capacity, chance_of(seed, f"r{i}"))
                await store.admit(make_sample(f"{i}"), capacity, chance_of(seed, f"{i}"))
            labels = (await stored_labels(store))["a"]
            assert {"r9", "r12"} <= labels
            for label in labels - {"r9", "r12"}:
                kept[int(label)] += 1
        assert kept.sum() == 4 * self.trials
        assert uniform_p(kept, self.trials) > 1e-3

    async def test_a_ring_keeps_the_newest_of_each_domain(self, store: SampleStore) -> None:
        memory = memory_on(store, Capacity(6, 10**9, policy="ring"))
        for i in range(10):
            await memory.admit(make_sample(f"a{i}", "a"))
        assert (await memory.admit(make_sample("b0", "b"))).evicted == ("a4", "a5", "a6")
        for i in range(1, 5):
            await memory.admit(make_sample(f"b{i}", "b"))
        assert await stored_labels(store) == {"a": {"a7", "a8", "a9"}, "b": {"b2", "b3", "b4"}}

    async def test_a_coreset_covers_what_a_uniform_sample_loses(self, store: SampleStore) -> None:
        # Two labels in a hundred look unlike the others.
        rng = np.random.default_rng(0)
        memory = memory_on(store, Capacity(8, 10**9, policy="coreset"))
        for i in range(200):
            rare = i % 100 == 30
            place = rng.normal(0, 3, 4) + (100 if rare else 0)
            await memory.admit(make_sample(f"{'rare' if rare else 'l'}{i}", embedding=place.tolist()))
        labels = (await stored_labels(store))["a"]
        assert len(labels) == 8
        assert labels & {"rare30", "rare130"}

    async def test_of_the_closest_two_the_more_crowded_leaves(self, store: SampleStore) -> None:
        memory = memory_on(store, Capacity(3, 10**9, policy="coreset"))
        for label, place in (("far", 0), ("left", 50), ("right", 60)):
            await memory.admit(make_sample(label, embedding=[place]))
        assert (await memory.admit(make_sample("end", embedding=[68]))).evicted == ("right",)
        assert await memory.admit(make_sample("twin", embedding=[67])) == Admission(admitted=False, duplicate=False)

    async def test_a_coreset_refuses_what_it_cannot_compare(self, store: SampleStore) -> None:
        memory = memory_on(store, Capacity(3, 10**9, policy="coreset"))
        for extras in ({}, {EMBEDDING: embed("x")[:5]}, {EMBEDDING: embed("x") * np.float32(np.nan)}):
            with pytest.raises(ValueError, match="embedding"):
                await memory.admit(replace(make_sample("x", offset=3), extras=extras))
        assert await memory.offsets() == {}

    async def test_a_probe_of_many_gains_has_the_share_of_one_probe(self, store: SampleStore) -> None:
        capacity = Capacity(24, 10**9, share_by=("probe",))
        memory = memory_on(store, capacity)
        many = [f"p_first_5mhz_steel_{gain}db" for gain in range(40, 46)]
        domains = [*many, "p_second_5mhz_steel_40db", "hall-3", "p_first_5mhz_steel_40db~2"]
        for domain in domains:
            for i in range(30):
                await memory.admit(make_sample(f"{domain}-{i}", domain))
        stored = {name: d.stored for name, d in (await memory.stats()).domains.items()}
        # Three probes, counting the domain without fields as one, share 24; one of them has seven domains.
        assert stored == dict.fromkeys(many, 1) | dict(zip(domains[6:], (8, 8, 1), strict=True))

    async def test_what_is_replaced_stays_where_it_was(self, store: SampleStore) -> None:
        memory = memory_on(store, WIDE)
        first, second = make_sample("x", offset=1), make_sample("y", offset=2)
        await memory.admit(first)
        await memory.admit(second)
        changed = replace(first, extras={"logits": np.ones((2, 3), np.float32)})
        assert await memory.replace(changed) == Admission(admitted=True, duplicate=False)
        assert await memory.replace(make_sample("z")) == Admission(admitted=False, duplicate=False)
        assert {s.to_bytes() for s in await store.draw(Uniform(9), 5)} == {changed.to_bytes(), second.to_bytes()}
        stats = (await memory.stats()).domains["a"]
        assert stats == DomainStats(2, 2, len(changed.to_bytes()) + len(second.to_bytes()))
        assert await memory.offsets() == {("labels", 0): 3}

    @pytest.mark.parametrize("policy", POLICIES)
    async def test_what_is_replaced_by_more_still_fits(self, store: SampleStore, policy: AdmissionPolicy) -> None:
        size = len(make_sample("l0").to_bytes())
        memory = memory_on(store, Capacity(10, 4 * size, policy=policy))
        samples = [make_sample(f"l{i}") for i in range(4)]
        for sample in samples:
            await memory.admit(sample)
        large = replace(samples[3], extras={**samples[3].extras, "logits": np.ones(4, np.float32)})
        admission = await memory.replace(large)
        (stats,) = (await memory.stats()).domains.values()
        assert stats.bytes <= 4 * size
        assert len(admission.evicted) + (not admission.admitted) == 4 - stats.stored > 0
        with pytest.raises(MemoryFullError):
            await memory.replace(replace(large, extras={"logits": np.ones(size, np.float32)}))

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
        assert uniform_p(kept, self.trials) > 1e-3

    async def test_every_stored_sample_is_as_likely_to_be_drawn(self, store: SampleStore) -> None:
        memory = memory_on(store, WIDE)
        for i in range(8):
            await memory.admit(make_sample(f"{i}"))
        drawn = np.zeros(8)
        for _ in range(400):
            for sample in await memory.draw(Uniform(3)):
                drawn[int(sample.label_id)] += 1
        assert chisquare(drawn).pvalue > 1e-3
