"""Redis killed, restarted, full, and badly connected while the learner learns: each label is learned once."""

import asyncio
import re
from collections.abc import AsyncIterator
from itertools import count

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from learner.holdout import HoldoutRule
from learner.settings import HoldoutSettings
from stream.local.ports import free_port
from stream.local.redis import RedisServer
from stream.local.service import ServiceProcess
from tests.faults.labels import LabelTrial
from tests.faults.proxy import Proxy
from tests.integration.learner.outside import eventually

WAITING = re.compile(r"WARNING learner.patience: attempt \d+ of redis failed, trying again")


@pytest.fixture
async def link(server: RedisServer) -> AsyncIterator[Proxy]:
    """What stands between the learner and Redis."""
    async with Proxy(free_port(exclude=frozenset({server.port})), server.port) as proxy:
        yield proxy


def waits(learner: ServiceProcess) -> bool:
    """Tell whether the learner has said in its log that it waits for Redis."""
    return WAITING.search(learner.log_file.read_text()) is not None


def held_out(settings: HoldoutSettings, labels: int) -> list[int]:
    """Return which of the first labels are held out."""
    rule = HoldoutRule(settings)
    return [number for number in range(labels) if rule.holds_out("first", "weld-1", f"label-{number}")]


@pytest.mark.parametrize("how", ["killed", pytest.param("stopped", marks=pytest.mark.thorough)])
@pytest.mark.timeout(240)
async def test_redis_goes_and_comes_back(labels: LabelTrial, server: RedisServer, how: str) -> None:
    async with labels.learner() as learner:
        await labels.begin()
        for _ in range(3):
            await labels.send(8)
            await asyncio.to_thread(server.kill if how == "killed" else server.stop)
            await labels.send(8)
            await asyncio.to_thread(server.start)
            await labels.settled(learner, supervised=True)
        method = f"Redis, with an append-only file, is {how} and started again three times while labels are learned"
        await labels.conclude(f"redis {how}", method, learner)


@pytest.mark.thorough
@pytest.mark.timeout(240)
async def test_the_learner_waits_for_redis_and_is_not_ready(labels: LabelTrial, server: RedisServer) -> None:
    async with labels.learner() as learner:
        await labels.begin()
        await asyncio.to_thread(server.kill)
        await labels.send(8)
        await eventually(lambda: waits(learner) or not learner.is_running)
        assert not await asyncio.to_thread(learner.is_ready)
        await asyncio.to_thread(server.start)
        await labels.settled(learner)
        method = "Redis is killed, and started again when the learner has said that it waits"
        await labels.conclude("redis away", method, learner)


@pytest.mark.thorough
@pytest.mark.timeout(240)
async def test_labels_that_are_held_out_wait_for_redis(labels: LabelTrial, server: RedisServer) -> None:
    # The first label that Redis is asked for after its end is one that is held out.
    settings = (HoldoutSettings(share=0.5, unit="label", seed=seed) for seed in count())
    holdout = next(found for found in settings if held_out(found, 5) == [4])
    labels.settings = labels.settings.model_copy(update={"holdout": holdout})
    async with labels.learner() as learner:
        await labels.begin()
        await asyncio.to_thread(server.kill)
        await labels.send(16)
        await eventually(lambda: waits(learner) or not learner.is_running)
        await asyncio.to_thread(server.start)
        await labels.settled(learner, supervised=True)
    assert not labels.outside.letters


@pytest.mark.timeout(240)
async def test_redis_has_no_memory_left(labels: LabelTrial, server: RedisServer) -> None:
    async with Redis.from_url(server.url) as redis, labels.learner() as learner:
        await labels.begin()
        await redis.config_set("maxmemory", "1")
        await labels.send(8)
        await eventually(lambda: waits(learner) or not learner.is_running)
        await labels.send(8)
        await redis.config_set("maxmemory", "0")
        await labels.settled(learner, supervised=True)
        method = "maxmemory is below what is used until the learner has said that it waits"
        await labels.conclude("redis out of memory", method, learner)


@pytest.mark.thorough
@pytest.mark.timeout(240)
async def test_the_network_of_redis_is_cut_silent_and_slow(labels: LabelTrial, link: Proxy) -> None:
    redis = labels.settings.redis.model_copy(update={"url": SecretStr(f"redis://127.0.0.1:{link.port}/0")})
    labels.settings = labels.settings.model_copy(update={"redis": redis})
    async with labels.learner() as learner:
        await labels.begin()
        for _ in range(3):
            await labels.send(8)
            link.cut()
            await asyncio.sleep(1)
            link.mend()
        await labels.settled(learner, supervised=True)
        link.silence()
        await labels.send(8)
        await asyncio.sleep(7)
        link.mend()
        link.latency_s, link.bytes_per_s = 0.05, 200_000
        await labels.send(8)
        await labels.settled(learner, supervised=True)
        link.mend()
        method = "reset three times, silent for longer than the client's timeout, then 50 ms each way and 200 kB/s"
        await labels.conclude("network cut, silent and slow: redis", method, learner)
