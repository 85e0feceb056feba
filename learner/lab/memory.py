"""What the laboratory keeps of past domains: a fixed number of samples as tensors."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from learner.lab.coreset import Coreset, Describe, Points
from learner.lab.settings import MemoryConfig
from learner.strategies import Batch

TOGETHER = "memory"
"""Name of samples that are not told apart by domain."""


class LabMemory:
    """A memory of samples of one shape.

    Parameters
    ----------
    config : MemoryConfig
        What is kept and how it is drawn.
    domains : int
        Domains that there will be: a ring has an equal share for each.
    rng : numpy.random.Generator
        Of admissions and draws.
    describe : callable or None
        Says where samples lie among each other; a coreset needs it.
    """

    def __init__(
        self, config: MemoryConfig, domains: int, rng: np.random.Generator, describe: Describe | None = None
    ) -> None:
        self._config = config
        self._describe = describe
        self._coreset = None if describe is None else Coreset(config.samples)
        self._rng = rng
        self._share = max(1, config.samples // domains)
        self._slots: list[tuple[int, int]] = []  # domain and class of what lies in each slot
        self._images = self._targets = self._logits = torch.empty(0)
        self._seen: Counter[int] = Counter()

    def __len__(self) -> int:
        """Return the number of samples kept."""
        return len(self._slots)

    @property
    def bytes(self) -> int:
        """Bytes of all that is kept."""
        return sum(t.nbytes for t in (self._images, self._targets, self._logits))

    def count(self, domain: int) -> int:
        """Return the number of samples kept of a domain."""
        return sum(own == domain for own, _ in self._slots)

    def add(self, batch: Batch, domain: int, logits: Tensor | None = None) -> None:
        """Offer samples of a domain, in their order, with what the network made of them."""
        if not len(self._images):
            self._make_room(batch, logits)
        classes = batch.targets.tolist() if batch.targets.ndim == 1 else [domain] * len(batch)
        points = [None] * len(batch) if self._describe is None else list(self._describe(batch))
        for i, (label, point) in enumerate(zip(classes, points, strict=True)):
            slot = self._admit(domain, label, point)
            if slot is None:
                continue
            if self._coreset is not None and point is not None:
                self._coreset.put(slot, point)
            if slot == len(self._slots):
                self._slots.append((domain, label))
            else:
                self._slots[slot] = domain, label
            self._images[slot] = batch.images[i]
            self._targets[slot] = batch.targets[i]
            if logits is not None:
                self._logits[slot] = logits[i]

    def fill(self, batch: Batch, domain: int) -> None:
        """Give a domain that has ended its fixed share of samples."""
        order = torch.from_numpy(self._rng.permutation(len(batch)))[: self._share]
        self.add(Batch(batch.images[order], batch.targets[order]), domain)

    def draw(self, names: Mapping[int, str]) -> dict[str, Batch]:
        """Draw samples for one step, by the name of their domain; domains that are not named are left out.

        Several draws come as one group, the first before the second, of equal
        size: what DER++ takes its halves of.
        """
        if self._config.draws == 1:
            return {names[domain]: self._take(at) for domain, at in self._draw(names).items()}
        draws = [[slot for slots in self._draw(names).values() for slot in slots] for _ in range(self._config.draws)]
        return {TOGETHER: self._take([slot for draw in draws for slot in draw])} if draws[0] else {}

    def _make_room(self, batch: Batch, logits: Tensor | None) -> None:
        room = self._config.samples
        self._images = batch.images.new_zeros(room, *batch.images.shape[1:])
        # Masks have at most 255 values; as int64 they would be most of the memory.
        small = torch.uint8 if batch.targets.ndim > 1 else torch.int64
        self._targets = torch.zeros(room, *batch.targets.shape[1:], dtype=small)
        if self._config.logits:
            if logits is None:
                msg = "this memory keeps logits; none were given"
                raise ValueError(msg)
            self._logits = logits.new_zeros(room, *logits.shape[1:])

    def _admit(self, domain: int, label: int, point: Points | None) -> int | None:
        """Return the slot that a sample goes to, or None."""
        match self._config.policy:
            case "reservoir":
                return self._reservoir()
            case "ring":
                return self._ring(domain)
            case "class_balanced":
                return self._balanced(label, [own for _, own in self._slots])
            case "domain_balanced":
                return self._balanced(domain, [own for own, _ in self._slots])
            case "diverse" | "diverse_gradients":
                assert self._coreset is not None
                assert point is not None
                return self._diverse(self._coreset, domain, point)

    def _reservoir(self) -> int | None:
        seen = self._seen[0]
        self._seen[0] += 1
        if seen < self._config.samples:
            return seen
        slot = int(self._rng.integers(seen + 1))
        return slot if slot < self._config.samples else None

    def _ring(self, domain: int) -> int:
        own = [slot for slot, (kept, _) in enumerate(self._slots) if kept == domain]
        place = self._seen[domain] % self._share
        self._seen[domain] += 1
        return len(self._slots) if place >= len(own) else own[place]

    def _balanced(self, key: int, kept: list[int]) -> int | None:
        """Fill up; then a key with the most samples is a reservoir of its own, and any other takes one from those."""
        self._seen[key] += 1
        if len(kept) < self._config.samples:
            return len(kept)
        counts = Counter(kept)
        most = max(counts.values())
        if counts[key] == most:
            if self._rng.random() * self._seen[key] >= most:
                return None
            own = [slot for slot, other in enumerate(kept) if other == key]
        else:
            largest = [other for other, count in counts.items() if count == most]
            victim = largest[int(self._rng.integers(len(largest)))]
            own = [slot for slot, other in enumerate(kept) if other == victim]
        return own[int(self._rng.integers(len(own)))]

    def _diverse(self, coreset: Coreset, domain: int, point: Points) -> int | None:
        """Fill up; then the most redundant sample of a domain with the most goes, be it the newcomer."""
        if len(self._slots) < self._config.samples:
            return len(self._slots)
        counts = Counter(own for own, _ in self._slots)
        most = max(counts.values())
        largest = domain if counts[domain] == most else min(own for own, count in counts.items() if count == most)
        slots = [slot for slot, (own, _) in enumerate(self._slots) if own == largest]
        return coreset.most_redundant(slots, point) if largest == domain else coreset.nearest(slots)

    def _by_domain(self, names: Mapping[int, str]) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for slot, (domain, _) in enumerate(self._slots):
            if domain in names:
                found.setdefault(domain, []).append(slot)
        return dict(sorted(found.items()))

    def _draw(self, names: Mapping[int, str]) -> dict[int, list[int]]:
        kept = self._by_domain(names)
        count = self._config.draw
        if count is None:
            return kept
        if self._config.per_domain:
            return {domain: self._some(slots, count) for domain, slots in kept.items()}
        pool = [slot for slots in kept.values() for slot in slots]
        chosen = self._some(pool, count) if pool else []
        drawn: dict[int, list[int]] = {}
        for slot in sorted(chosen, key=lambda slot: self._slots[slot][0]):
            drawn.setdefault(self._slots[slot][0], []).append(slot)
        return drawn

    def _some(self, slots: list[int], count: int) -> list[int]:
        if len(slots) <= count:
            return slots
        return [slots[i] for i in self._rng.choice(len(slots), count, replace=False)]

    def _take(self, slots: list[int]) -> Batch:
        at = torch.tensor(slots)
        batch = Batch(self._images[at], self._targets[at].long())
        return replace(batch, logits=self._logits[at]) if self._config.logits else batch
