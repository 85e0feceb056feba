import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from redis.asyncio import Redis

from memory.admission import AdmissionPolicy, chance_of
from memory.sampling import Balanced, Uniform
from memory.stores.base import Capacity, MemoryExhaustedError
from memory.stores.in_memory import InMemoryStore
from memory.stores.redis import RedisStore
from schemas.errors import ServiceUnavailableError
from schemas.settings import RedisSettings
from stream.local.ports import free_port
from stream.local.prerequisites import find_redis
from stream.local.reaper import Reaper
from stream.local.redis import RedisServer
from stream.retry import is_retriable
from tests.contracts.sample_store import POLICIES, SampleStoreContract, make_sample, memory_on, stored_labels


@pytest.fixture
async def redis(redis_settings: RedisSettings) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_settings.url.get_secret_value()) as redis:
        yield redis


@pytest.fixture
def store(redis: Redis, redis_settings: RedisSettings) -> RedisStore:
    return RedisStore(redis, redis_settings.key_prefix)


class TestRedisStore(SampleStoreContract):
    pass


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("samples", "size"), [(20, 6500), (90, 10**6), (80, 14000)])
async def test_both_stores_decide_alike(store: RedisStore, policy: AdmissionPolicy, samples: int, size: int) -> None:
    other = InMemoryStore()
    rng = np.random.default_rng(3)
    capacity = Capacity(samples, size, policy=policy, share_by=("probe",) if samples > 20 else ())
    for i in range(300):
        label = f"l{rng.integers(250)}"
        number = min(i // 40, rng.integers(6))
        domain = f"p_{number % 2}_5mhz_d{number}" if number else "d0"
        sample = make_sample(
            label, domain, i, side=int(rng.integers(1, 6)), shows=int(rng.integers(5) * rng.integers(2))
        )
        sample.mask[0, 0] = rng.integers(3)
        chance = chance_of(9, label)
        assert await store.admit(sample, capacity, chance) == await other.admit(sample, capacity, chance), i
        if i % 7 == 0:
            sample = replace(sample, extras={**sample.extras, "logits": np.zeros(int(rng.integers(30)), np.float32)})
            assert await store.replace(sample, capacity, chance) == await other.replace(sample, capacity, chance), i
    assert await store.stats() == await other.stats()
    assert await store.offsets() == await other.offsets()
    draws = (Uniform(8), Balanced(2), Balanced({"p_1_5mhz_d1": 3}), Uniform(3, exclude=("d0",)))
    for start, wanted in enumerate(draws, 1):
        ours, theirs = await store.draw(wanted, start), await other.draw(wanted, start)
        assert [s.to_bytes() for s in ours] == [s.to_bytes() for s in theirs]


async def test_two_clients_never_exceed_the_bounds(store: RedisStore, redis_settings: RedisSettings) -> None:
    capacity = Capacity(10, 10**9)
    async with Redis.from_url(redis_settings.url.get_secret_value()) as second:
        memories = [memory_on(s, capacity) for s in (store, RedisStore(second, redis_settings.key_prefix))]
        await asyncio.gather(*(m.admit(make_sample(f"l{i}", f"d{i % 3}")) for i in range(90) for m in memories))
    stats = (await store.stats()).domains
    assert {name: (d.seen, d.stored) for name, d in stats.items()} == {f"d{k}": (30, 3) for k in range(3)}
    drawn = await store.draw(Uniform(99), 1)
    assert sum(len(s.to_bytes()) for s in drawn) == sum(d.bytes for d in stats.values())


async def test_nothing_evicted_is_left_behind(store: RedisStore, redis: Redis, redis_settings: RedisSettings) -> None:
    for i in range(50):
        await memory_on(store, Capacity(4, 10**9)).admit(make_sample(f"l{i}", f"d{i % 2}"))
    keys = [key async for key in redis.scan_iter(match=f"*{redis_settings.key_prefix}*sample:*")]
    assert len(keys) == 4
    await store.clear()
    assert [key async for key in redis.scan_iter(match=f"*{redis_settings.key_prefix}*")] == []


async def test_scripts_are_taught_again_to_a_redis_that_forgot_them(store: RedisStore, redis: Redis) -> None:
    await store.stats()
    await redis.script_flush()
    assert (await store.stats()).domains == {}


async def test_the_memory_survives_a_restart_and_says_when_redis_is_away(reaper: Reaper, tmp_path: Path) -> None:
    server = RedisServer(tmp_path, executable=find_redis(), port=free_port(), reaper=reaper, durable=True)
    server.prepare()
    server.start()
    async with Redis.from_url(server.url) as redis:
        store = RedisStore(redis, "restart:")
        memory = memory_on(store, Capacity(5, 10**9))
        for i in range(20):
            await memory.admit(make_sample(f"l{i}", offset=i))
        before = await stored_labels(store), await store.stats(), await store.offsets()
        server.stop()
        with pytest.raises(ServiceUnavailableError):
            await store.stats()
        server.start()
        assert (await stored_labels(store), await store.stats(), await store.offsets()) == before
        assert (await memory.admit(make_sample("l3", offset=3))).duplicate
    server.stop()


@pytest.fixture
def full(redis_executable: Path, reaper: Reaper, tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of its own, which a test may fill."""
    server = RedisServer(
        tmp_path / "full", executable=redis_executable, port=free_port(), reaper=reaper, options={"maxmemory": "1"}
    )
    server.prepare()
    server.start()
    yield server
    server.stop()


async def test_a_redis_without_memory_refuses_for_a_time_and_changes_nothing(full: RedisServer) -> None:
    async with Redis.from_url(full.url) as redis:
        store = RedisStore(redis, "test:")
        capacity, sample = Capacity(10, 10**6), make_sample("l1", "d1", offset=0)
        chance = chance_of(1, "l1")
        with pytest.raises(MemoryExhaustedError, match="maxmemory") as refused:
            await store.admit(sample, capacity, chance)
        assert is_retriable(refused.value)
        assert await store.offsets() == {}
        await redis.config_set("maxmemory", "0")
        admission = await store.admit(sample, capacity, chance)
    assert admission.admitted
    assert not admission.duplicate
