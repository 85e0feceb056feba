"""Which samples of a domain are kept, in plain Python; Redis follows the same rules in Lua."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from memory.admission import EMBEDDING_SIZE, AdmissionPolicy, Lehmer

COMPARED = 32
"""Samples of a domain, the newcomer among them, of which a coreset gives up the most redundant."""


@dataclass(frozen=True, slots=True, eq=False)
class Newcomer:
    """A sample that asks for a place.

    Attributes
    ----------
    label : str
        Its id.
    trait : int
        The class that it counts as.
    embedding : ndarray of int8 or None
        What a coreset compares.
    slot : float
        Its chance, uniform in [0, 1).
    """

    label: str
    trait: int
    embedding: NDArray[np.int8] | None
    slot: float


@dataclass
class Domain:
    """What is kept of a domain, and what of its past decides who is."""

    path: tuple[str, ...]
    seen: int = 0
    # Only ever falls: a sample that shrank stays uniform at its size, and cannot grow back without bias.
    limit: int = 2**53
    slots: list[str] = field(default_factory=list)
    traits: dict[str, int] = field(default_factory=dict)
    embeddings: dict[str, NDArray[np.int8]] = field(default_factory=dict)
    seen_of: dict[int, int] = field(default_factory=dict)
    full: set[int] = field(default_factory=set)

    def put(self, newcomer: Newcomer) -> None:
        """Store in a new slot."""
        self.slots.append(newcomer.label)
        self._note(newcomer)

    def put_at(self, slot: int, newcomer: Newcomer) -> str:
        """Store in the place of another; return who leaves."""
        gone = self.slots[slot]
        self.slots[slot] = newcomer.label
        self._forget(gone)
        self._note(newcomer)
        return gone

    def take_out(self, slot: int) -> str:
        """Empty a slot and put the last one in its place; return who leaves."""
        gone = self.slots[slot]
        self.slots[slot] = self.slots[-1]
        self.slots.pop()
        self._forget(gone)
        return gone

    def take_oldest(self) -> str:
        """Empty the first slot; those behind it move up."""
        gone = self.slots.pop(0)
        self._forget(gone)
        return gone

    def _note(self, newcomer: Newcomer) -> None:
        self.traits[newcomer.label] = newcomer.trait
        if newcomer.embedding is not None:
            self.embeddings[newcomer.label] = newcomer.embedding

    def _forget(self, label: str) -> None:
        self.traits.pop(label, None)
        self.embeddings.pop(label, None)


class Placing(Protocol):
    """A policy; the domain's limit is met before and after each of its decisions."""

    ratchets: bool
    """Whether a domain that gave up a sample for want of bytes must not have that many again."""

    def place(self, domain: Domain, newcomer: Newcomer, random: Lehmer) -> list[str]:
        """Store the newcomer, or not, and return who leaves for it, the newcomer itself if nothing but it does."""
        ...

    def evict(self, domain: Domain, random: Lehmer) -> str:
        """Give up one sample, and return whose."""
        ...


class Reservoir:
    """A uniform sample of all that came (Vitter 1985, Algorithm R)."""

    ratchets = True

    def place(self, domain: Domain, newcomer: Newcomer, random: Lehmer) -> list[str]:  # noqa: ARG002 - the protocol's
        """See :class:`Placing`."""
        slot = domain.seen if domain.seen < domain.limit else int(newcomer.slot * (domain.seen + 1))
        if slot >= domain.limit:
            return []
        if slot < len(domain.slots):
            return [domain.put_at(slot, newcomer)]
        domain.put(newcomer)
        return []

    def evict(self, domain: Domain, random: Lehmer) -> str:
        """See :class:`Placing`."""
        return domain.take_out(random.below(len(domain.slots)))


class ClassBalanced:
    """As many of each class as there are, and of each class a uniform sample (Chrysakis & Moens 2020).

    A class is full once it has been the largest when there was no more room.
    A newcomer of a class that is not full takes the place of one of the
    largest class; of a full one, the place of one of its own with the chance
    of Algorithm R.
    """

    ratchets = True

    def place(self, domain: Domain, newcomer: Newcomer, random: Lehmer) -> list[str]:
        """See :class:`Placing`."""
        domain.seen_of[newcomer.trait] = domain.seen_of.get(newcomer.trait, 0) + 1
        if len(domain.slots) < domain.limit:
            domain.put(newcomer)
            return []
        self._largest(domain)
        if newcomer.trait not in domain.full:
            gone = self.evict(domain, random)
            domain.put(newcomer)
            return [gone]
        own = [i for i, label in enumerate(domain.slots) if domain.traits.get(label, 0) == newcomer.trait]
        drawn = int(newcomer.slot * domain.seen_of[newcomer.trait])
        return [domain.put_at(own[drawn], newcomer)] if drawn < len(own) else []

    def evict(self, domain: Domain, random: Lehmer) -> str:
        """See :class:`Placing`."""
        largest = self._largest(domain)
        among = [i for i, label in enumerate(domain.slots) if domain.traits.get(label, 0) == largest]
        return domain.take_out(among[random.below(len(among))])

    def _largest(self, domain: Domain) -> int:
        """Return the largest class, of equals the first, and note that all of them are full."""
        counts: dict[int, int] = {}
        for label in domain.slots:
            trait = domain.traits.get(label, 0)
            counts[trait] = counts.get(trait, 0) + 1
        most = max(counts.values())
        largest = [trait for trait in counts if counts[trait] == most]
        domain.full.update(largest)
        return min(largest)


class Ring:
    """The newest (Chaudhry et al. 2019): each domain's part is first in, first out."""

    ratchets = False

    def place(self, domain: Domain, newcomer: Newcomer, random: Lehmer) -> list[str]:  # noqa: ARG002 - the protocol's
        """See :class:`Placing`."""
        gone = [domain.take_oldest()] if len(domain.slots) >= domain.limit else []
        domain.put(newcomer)
        return gone

    def evict(self, domain: Domain, random: Lehmer) -> str:  # noqa: ARG002 - the protocol's
        """See :class:`Placing`."""
        return domain.take_oldest()


class Coreset:
    """What covers the domain's embeddings: whoever has the nearest neighbour leaves.

    A streaming form of greedy k-centre selection: some stored samples, all of
    a small domain, are compared with each other and the newcomer, and of the
    two that are closest the one goes whose next neighbour is closer too.
    """

    ratchets = False

    def place(self, domain: Domain, newcomer: Newcomer, random: Lehmer) -> list[str]:
        """See :class:`Placing`."""
        domain.put(newcomer)
        if len(domain.slots) <= domain.limit:
            return []
        return [self.evict(domain, random)]

    def evict(self, domain: Domain, random: Lehmer) -> str:
        """See :class:`Placing`."""
        return domain.take_out(self._most_redundant(domain, random))

    def _most_redundant(self, domain: Domain, random: Lehmer) -> int:
        slots = list(range(len(domain.slots)))
        # The newest is always among those compared: it lies last.
        chosen, others = [slots.pop()], min(COMPARED - 1, len(slots))
        for i in range(others):
            j = i + random.below(len(slots) - i)
            slots[i], slots[j] = slots[j], slots[i]
            chosen.append(slots[i])
        if len(chosen) == 1:
            return chosen[0]
        # A sample that was stored under another policy has no embedding: it lies at the origin.
        origin = np.zeros(EMBEDDING_SIZE, np.int8)
        points = np.stack([domain.embeddings.get(domain.slots[i], origin) for i in chosen]).astype(np.int64)
        apart = ((points[:, None] - points[None]) ** 2).sum(axis=2)
        np.fill_diagonal(apart, np.iinfo(np.int64).max)
        first, second = divmod(int(apart.argmin()), len(chosen))
        if len(chosen) == 2:  # noqa: PLR2004 - they are as far from each other as from anything
            return chosen[second]
        next_of_first, next_of_second = (np.sort(apart[i])[1] for i in (first, second))
        return chosen[first if next_of_first < next_of_second else second]


PLACING: dict[AdmissionPolicy, Placing] = {
    "reservoir": Reservoir(),
    "class_balanced": ClassBalanced(),
    "ring": Ring(),
    "coreset": Coreset(),
}
