"""Faults of all kinds, one after the other, in a seeded order: two inference services, a learner, frames and labels.

Run by ``make soak``; its name keeps it out of ``make test``.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from benchmarks.figures import measured
from inference.settings import InferenceSettings
from learner.settings import ReleaseSettings
from stream.local.kafka import KafkaBroker
from stream.local.ports import free_port
from stream.local.process import ManagedProcess
from stream.local.redis import RedisServer
from stream.local.service import ServiceProcess
from tests.faults.conftest import by_way_of
from tests.faults.frames import FrameTrial
from tests.faults.labels import LabelTrial
from tests.faults.proxy import Proxy
from tests.faults.report import Tried
from tests.faults.services import stop

_log = logging.getLogger(__name__)
FRAME_EVERY_S, LABEL_EVERY_S = 0.05, 0.5
LONGEST_FAULT_S, REST_S = 13.0, 3.0
PATIENCE_S = 240.0

Start = Callable[[], AbstractAsyncContextManager[ServiceProcess]]


@pytest.fixture
def settings(inference_settings: InferenceSettings) -> InferenceSettings:
    """Welds end after a pause that is longer than any fault, or their versions would fill the memory for ever."""
    serving = inference_settings.serving.model_copy(update={"max_batch": 4, "weld_idle_seconds": 60.0})
    return inference_settings.model_copy(update={"serving": serving})


@dataclass(slots=True)
class Soak:
    """What runs, what can be done to it, and how often it was done.

    A service that a fault ends is started again, as a supervisor does, and counted.
    """

    frames: FrameTrial
    labels: LabelTrial
    network: Proxy
    link: Proxy
    kafka: KafkaBroker
    redis: RedisServer
    rng: random.Random
    resources: AsyncExitStack
    running: dict[str, tuple[Start, ServiceProcess]] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    ended: list[str] = field(default_factory=list)

    async def start(self, name: str, start: Start) -> None:
        """Run a service until it is broken or the soak is over."""
        self.running[name] = (start, await self.resources.enter_async_context(start()))

    async def again(self, name: str) -> None:
        """Start a service again that has ended."""
        await self.start(name, self.running[name][0])

    async def supervise(self) -> None:
        """Start again what ended though nobody had ended it."""
        for name, (_, service) in list(self.running.items()):
            if not service.is_running:
                self.ended.append(f"{name} with {service.returncode}: {service.log_tail(400)}")
                await self.again(name)

    def one_of(self, *names: str) -> tuple[str, ServiceProcess]:
        name = self.rng.choice(names)
        return name, self.running[name][1]

    async def breathe(self, longest_s: float = LONGEST_FAULT_S) -> None:
        await asyncio.sleep(self.rng.uniform(0.5, longest_s))

    async def kill(self) -> None:
        name, service = self.one_of("first", "second", "learner")
        await asyncio.to_thread(service.kill)
        await self.breathe(4)
        await self.again(name)

    async def stop_in_order(self) -> None:
        name, service = self.one_of("first", "second", "learner")
        await stop(service)
        await self.again(name)

    async def stall(self) -> None:
        _, service = self.one_of("first", "second")
        service.pause()
        await self.breathe()
        service.resume()

    async def join_and_leave(self) -> None:
        async with self.frames.inference() as third:
            await self.breathe()
            await stop(third)

    async def cut(self) -> None:
        await self._bad(self.rng.choice((self.network, self.link)), lambda proxy: proxy.cut(), 3)

    async def silence(self) -> None:
        await self._bad(self.rng.choice((self.network, self.link)), lambda proxy: proxy.silence(), LONGEST_FAULT_S)

    async def slow(self) -> None:
        def slow(proxy: Proxy) -> None:
            proxy.latency_s, proxy.bytes_per_s = self.rng.uniform(0.01, 0.2), 200_000

        await self._bad(self.rng.choice((self.network, self.link)), slow, LONGEST_FAULT_S)

    async def swap(self) -> None:
        await self.frames.swap()

    async def roll_back(self) -> None:
        await self.frames.roll_back()

    async def poison(self) -> None:
        await self.frames.poison()
        await self.labels.poison()

    async def kill_broker(self) -> None:
        await self._restart(self.kafka, self.kafka.kill)

    async def kill_redis(self) -> None:
        await self._restart(self.redis, self.redis.kill)

    async def fill_redis(self) -> None:
        async with Redis.from_url(self.redis.url) as redis:
            await redis.config_set("maxmemory", "1")
            await self.breathe()
            await redis.config_set("maxmemory", "0")

    async def _bad(self, proxy: Proxy, make_bad: Callable[[Proxy], None], longest_s: float) -> None:
        make_bad(proxy)
        await self.breathe(longest_s)
        proxy.mend()

    async def _restart(self, process: ManagedProcess, end: Callable[[], None]) -> None:
        await asyncio.to_thread(end)
        await self.breathe(2)
        await asyncio.to_thread(process.start)

    def faults(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Return everything that can be done, by name."""
        return {
            "service killed": self.kill,
            "service stopped in order": self.stop_in_order,
            "inference stalled": self.stall,
            "node joins and leaves": self.join_and_leave,
            "network cut": self.cut,
            "network silent": self.silence,
            "network slow": self.slow,
            "release": self.swap,
            "roll-back": self.roll_back,
            "poison": self.poison,
            "broker killed": self.kill_broker,
            "redis killed": self.kill_redis,
            "redis out of memory": self.fill_redis,
        }


@pytest.fixture
async def soak(  # noqa: PLR0917 - fixtures are found by name
    frames: FrameTrial,
    labels: LabelTrial,
    network: Proxy,
    server: RedisServer,
    kafka_broker: KafkaBroker,
    request: pytest.FixtureRequest,
) -> AsyncIterator[Soak]:
    rng = random.Random(request.config.getoption("--seed"))
    async with Proxy(free_port(exclude=frozenset({server.port})), server.port) as link, AsyncExitStack() as resources:
        kafka = by_way_of(frames.settings.kafka, network)
        frames.settings = frames.settings.model_copy(update={"kafka": kafka})
        redis = labels.settings.redis.model_copy(update={"url": SecretStr(f"redis://127.0.0.1:{link.port}/0")})
        release = ReleaseSettings(labels=16, seconds=3600, rollback_window=100_000)
        kafka = by_way_of(labels.settings.kafka, network)
        labels.settings = labels.settings.model_copy(update={"kafka": kafka, "redis": redis, "release": release})
        yield Soak(frames, labels, network, link, kafka_broker, server, rng, resources)


async def labels_stream(labels: LabelTrial) -> None:
    while True:
        await labels.send(1, LABEL_EVERY_S)


@pytest.mark.timeout(0)
async def test_soak(soak: Soak, request: pytest.FixtureRequest) -> None:
    minutes, frames, labels = request.config.getoption("--minutes"), soak.frames, soak.labels
    loop = asyncio.get_running_loop()
    end = loop.time() + 60 * minutes
    await frames.begin(0)
    for name in ("first", "second"):
        await soak.start(name, frames.inference)
    await soak.start("learner", labels.learner)
    await labels.begin()
    streaming = [
        asyncio.create_task(frames.stream(10_000_000, every_s=FRAME_EVERY_S)),
        asyncio.create_task(labels_stream(labels)),
    ]
    faults = soak.faults()
    while loop.time() < end:
        name = soak.rng.choice(list(faults))
        _log.info("%s", name)
        await faults[name]()
        soak.done[name] += 1
        await soak.breathe(REST_S)
        await soak.supervise()
        for task in streaming:
            assert not task.done(), task.exception()
    for task in streaming:
        task.cancel()
    await asyncio.gather(*streaming, return_exceptions=True)
    await labels.send(1)
    async with asyncio.timeout(PATIENCE_S):
        while len(frames.outside.judgements()) < len(frames.outside.published):
            await soak.supervise()
            await asyncio.sleep(1)
        await labels.settled(soak.running["learner"][1], supervised=True)
    for name, count in soak.done.items():
        frames.report.figures.append(measured(f"times: {name}", count, "", "seeded choice"))
    learner = [text for text in soak.ended if text.startswith("learner")]
    inference = [text for text in soak.ended if text not in learner]
    restarted = "ended of itself in a fault and was started again, as a supervisor does"
    frames.report.figures += [
        measured("inference ended by a fault", len(inference), "times", restarted, at_most=0),
        # Without a bar: guarantees.py says under what does not hold when this happens.
        measured("learner ended by a fault", len(learner), "times", restarted),
    ]
    method = f"{sum(soak.done.values())} faults in {minutes:g} minutes, seed {request.config.getoption('--seed')}"
    await frames.conclude("soak: frames", method)
    await labels.conclude("soak: labels", method, soak.running["learner"][1])
    frames.report.tried += [Tried(name, survived=True) for name in soak.done.elements()]
    assert not inference, inference
