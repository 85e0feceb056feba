"""The two memories: what is rehearsed, and what is only ever judged."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from learner.patience import Patience, PatientStore
from learner.settings import LearnerSettings
from memory.episodic import EpisodicMemory
from memory.stores.base import Capacity, SampleStore
from memory.stores.in_memory import InMemoryStore
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


def memory_rules(settings: LearnerSettings) -> dict[str, Any]:
    """Return, for a checkpoint, by which rules the memory was filled: under others it is made anew."""
    bounds = settings.memory
    return {
        "policy": bounds.policy,
        "share_by": list(bounds.share_by),
        "seed": bounds.seed,
        "gain_step_db": settings.domains.gain_step_db,
    }


async def open_memories(
    settings: LearnerSettings, resources: AsyncExitStack, rng: np.random.Generator, patiently: Patience | None = None
) -> Memories:
    """Open both; Redis has one client for them, which the resources close.

    With patience, whatever is asked of them waits for Redis.
    """
    bounds = settings.memory
    store = _in_redis(settings, resources, patiently) if bounds.store == "redis" else lambda _: InMemoryStore()
    return Memories(
        EpisodicMemory(
            store("memory"),
            Capacity(bounds.samples, bounds.bytes, bounds.policy, bounds.share_by),
            seed=bounds.seed,
            rng=rng,
        ),
        EpisodicMemory(
            store("validation"),
            Capacity(bounds.validation_samples, bounds.validation_bytes),
            seed=bounds.seed,
            rng=np.random.default_rng(bounds.seed),
        ),
    )


def _in_redis(
    settings: LearnerSettings, resources: AsyncExitStack, patiently: Patience | None
) -> Callable[[str], SampleStore]:
    client = open_redis(settings.redis)
    resources.push_async_callback(client.aclose)

    def store(name: str) -> SampleStore:
        opened = RedisStore(client, prefix=f"{settings.redis.key_prefix}{name}")
        return opened if patiently is None else PatientStore(opened, patiently)

    return store
