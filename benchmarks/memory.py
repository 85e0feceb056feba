"""What rehearsal costs: drawing samples from Redis."""

import statistics
import time
import uuid

import numpy as np
from redis.asyncio import Redis

from memory.episodic import EpisodicMemory
from memory.samples import Sample
from memory.sampling import Uniform
from memory.stores.base import Capacity
from memory.stores.redis import RedisStore

SIDE = 256
STORED = 256
DRAWN = 32


async def seconds_per_draw(redis_url: str, repeats: int = 50) -> float:
    """Return the median seconds of drawing 32 samples of 256x256 uint8 with masks, decoded."""
    rng = np.random.default_rng(0)
    async with Redis.from_url(redis_url) as redis:
        store = RedisStore(redis, f"bench-{uuid.uuid4().hex}:")
        memory = EpisodicMemory(store, Capacity(STORED, 1 << 30), seed=0, rng=rng)
        for i in range(STORED):
            pixels, mask = rng.integers(0, 6, (2, SIDE, SIDE), np.uint8)
            await memory.admit(Sample(f"l{i}", f"d{i % 4}", "w", pixels, mask))
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            drawn = await memory.draw(Uniform(DRAWN))
            seconds.append(time.perf_counter() - start)
            if len(drawn) != DRAWN:
                raise RuntimeError(f"drew {len(drawn)} samples instead of {DRAWN}")
        await store.clear()
    return statistics.median(seconds)
