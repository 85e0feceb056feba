"""The episodic memory: what was learned, kept for rehearsal, within bounds."""

from typing import Any

import numpy as np

from memory.admission import LCG_MODULUS, chance_of
from memory.samples import Sample
from memory.sampling import Policy
from memory.stores.base import Admission, Capacity, MemoryStats, SampleStore


class EpisodicMemory:
    """A uniform sample of the labels of each domain.

    Parameters
    ----------
    store : SampleStore
        Where the samples are.
    capacity : Capacity
        Bounds of the whole memory.
    seed : int
        Decides, with the label id, each admission: the same labels in the
        same order give the same memory.
    rng : numpy.random.Generator
        Decides each draw.
    """

    def __init__(self, store: SampleStore, capacity: Capacity, *, seed: int, rng: np.random.Generator) -> None:
        self._store = store
        self._capacity = capacity
        self._seed = seed
        self._rng = rng

    async def admit(self, sample: Sample) -> Admission:
        """Offer a sample; a label known already changes nothing."""
        return await self._store.admit(sample, self._capacity, chance_of(self._seed, sample.label_id))

    async def replace(self, sample: Sample) -> Admission:
        """Put another content in the place of a stored label's; one that is not stored changes nothing."""
        return await self._store.replace(sample, self._capacity, chance_of(self._seed, sample.label_id))

    async def draw(self, policy: Policy, rng: np.random.Generator | None = None) -> list[Sample]:
        """Draw samples in one round trip; fewer where fewer are stored.

        Another generator leaves the memory's own, and so all later draws, as they are.
        """
        generator = self._rng if rng is None else rng
        return await self._store.draw(policy, int(generator.integers(1, LCG_MODULUS)))

    async def stats(self) -> MemoryStats:
        """Return what was seen and what is stored, by domain."""
        return await self._store.stats()

    async def offsets(self) -> dict[tuple[str, int], int]:
        """Return the next offset by (topic, partition): all before are accounted for."""
        return await self._store.offsets()

    async def clear(self) -> None:
        """Forget everything, to be rebuilt from the labels topic."""
        await self._store.clear()

    def rng_state(self) -> dict[str, Any]:
        """Return where the generator of the draws stands, for a checkpoint."""
        return dict(self._rng.bit_generator.state)

    def restore_rng(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`rng_state` returned."""
        self._rng.bit_generator.state = state
