"""The two memories in Redis: what is rehearsed, and what is only ever judged."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from learner.patience import Patience, PatientStore
from learner.settings import LearnerSettings
from memory.episodic import EpisodicMemory
from memory.stores.base import Capacity, SampleStore
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
    """Open both on one client, which the resources close; with patience, whatever is asked of them waits for Redis."""
    client = open_redis(settings.redis)
    resources.push_async_callback(client.aclose)
    bounds, prefix = settings.memory, settings.redis.key_prefix

    def store(name: str) -> SampleStore:
        opened = RedisStore(client, prefix=f"{prefix}{name}")
        return opened if patiently is None else PatientStore(opened, patiently)

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
