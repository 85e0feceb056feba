"""The two memories in Redis: what is rehearsed, and what is only ever judged."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

import numpy as np

from learner.settings import LearnerSettings
from memory.episodic import EpisodicMemory
from memory.stores.base import Capacity
from memory.stores.redis import RedisStore, open_redis


@dataclass(frozen=True, slots=True)
class Memories:
    """Both memories.

    Attributes
    ----------
    episodic : EpisodicMemory
        Samples for rehearsal.
    validation : EpisodicMemory
        Held-out samples, under a key prefix of its own.
    """

    episodic: EpisodicMemory
    validation: EpisodicMemory


async def open_memories(settings: LearnerSettings, resources: AsyncExitStack, rng: np.random.Generator) -> Memories:
    """Open both on one client, which the resources close."""
    client = open_redis(settings.redis)
    resources.push_async_callback(client.aclose)
    bounds, prefix = settings.memory, settings.redis.key_prefix
    return Memories(
        EpisodicMemory(
            RedisStore(client, prefix=f"{prefix}memory"),
            Capacity(bounds.samples, bounds.bytes),
            seed=bounds.seed,
            rng=rng,
        ),
        EpisodicMemory(
            RedisStore(client, prefix=f"{prefix}validation"),
            Capacity(bounds.validation_samples, bounds.validation_bytes),
            seed=bounds.seed,
            rng=np.random.default_rng(bounds.seed),
        ),
    )
