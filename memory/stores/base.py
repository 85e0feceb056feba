"""What a store of samples must do."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from memory.admission import AdmissionPolicy, Chance
from memory.descriptors import Field, share_path
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
    """Bounds of the whole memory, and who is kept within them.

    Attributes
    ----------
    samples, bytes : int
        Bounds. Each known domain has an equal share of the samples, at least one.
    policy : str
        Which samples of a domain are kept.
    share_by : tuple of str
        Fields of the task descriptor among whose values the samples are shared
        equally before the domains of each value share what it has.
    """

    samples: int
    bytes: int
    policy: AdmissionPolicy = "reservoir"
    share_by: tuple[Field, ...] = ()


def quotas(paths: Mapping[str, Sequence[str]], samples: int) -> dict[str, int]:
    """Return how many samples each domain may have, at least one.

    Parameters
    ----------
    paths : mapping of str to sequence of str
        By domain the shares that it is part of; see :func:`memory.descriptors.share_path`.
    samples : int
        Of all.
    """
    parts: dict[tuple[str, ...], set[str]] = {}
    for path in paths.values():
        for depth, name in enumerate(path):
            parts.setdefault(tuple(path[:depth]), set()).add(name)
    return {
        domain: max(1, samples // math.prod(len(parts[tuple(path[:depth])]) for depth in range(len(path))))
        for domain, path in paths.items()
    }


def path_in(capacity: Capacity, domain: str) -> tuple[str, ...]:
    """Return the shares of a capacity that a domain is part of."""
    return share_path(domain, capacity.share_by)


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
    """Keeps samples of each domain within a capacity; each method is one atomic step."""

    async def admit(self, sample: Sample, capacity: Capacity, chance: Chance) -> Admission:
        """Insert by the capacity's policy, shrink what must shrink, and store the next offset of the source."""
        ...

    async def replace(self, sample: Sample, capacity: Capacity, chance: Chance) -> Admission:
        """Put another content in the place of a stored label's; one not stored in its domain changes nothing."""
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
