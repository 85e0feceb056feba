"""What a store of samples must do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from memory.admission import Chance
from memory.samples import Sample
from memory.sampling import Policy
from schemas.errors import WeldstreamError

SEEN_LABELS = 100_000
"""Label ids remembered against repetitions that come under another offset."""


class MemoryFullError(WeldstreamError):
    """The sample is larger than the whole memory."""

    reason = "memory_full"


class MemoryExhaustedError(MemoryFullError):
    """The store has no memory left; the sample fits once there is some again."""

    retriable = True
    reason = "memory_exhausted"


@dataclass(frozen=True, slots=True)
class Capacity:
    """Bounds of the whole memory; each known domain has an equal share of the samples, at least one."""

    samples: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of a sample: whether it is stored now, was known before, and whose place it took."""

    admitted: bool
    duplicate: bool
    evicted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DomainStats:
    """Labels seen and samples and bytes stored of a domain."""

    seen: int
    stored: int
    bytes: int


@dataclass(frozen=True, slots=True)
class MemoryStats:
    """By domain."""

    domains: Mapping[str, DomainStats] = field(default_factory=dict)


class SampleStore(Protocol):
    """Keeps a uniform sample of each domain within a capacity; each method is one atomic step."""

    async def admit(self, sample: Sample, capacity: Capacity, chance: Chance) -> Admission:
        """Insert by Algorithm R, shrink what must shrink, and store the next offset of the source."""
        ...

    async def draw(self, policy: Policy, start: int) -> list[Sample]:
        """Draw; `start` in [1, 2**31 - 2] is the randomness."""
        ...

    async def stats(self) -> MemoryStats:
        """Return what is stored."""
        ...

    async def offsets(self) -> dict[tuple[str, int], int]:
        """Return the next offset by (topic, partition)."""
        ...

    async def clear(self) -> None:
        """Forget everything, offsets and seen labels included."""
        ...
