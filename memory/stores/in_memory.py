"""The rules of the memory, in plain Python; Redis follows them in Lua."""

from collections import OrderedDict

from memory.admission import EMBEDDING, Chance, Lehmer, shown_classes, whole_embedding
from memory.samples import Sample
from memory.sampling import Balanced, Policy
from memory.stores.base import (
    SEEN_LABELS,
    Admission,
    Capacity,
    DomainStats,
    MemoryFullError,
    MemoryStats,
    path_in,
    quotas,
)
from memory.stores.policies import PLACING, Domain, Newcomer


class InMemoryStore:
    """A store that lives as long as its process."""

    def __init__(self, seen_labels: int = SEEN_LABELS) -> None:
        self._seen_labels = seen_labels
        self._domains: dict[str, Domain] = {}
        self._samples: dict[str, bytes] = {}
        self._shown: dict[int, int] = {}
        self._offsets: dict[tuple[str, int], int] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()

    async def admit(self, sample: Sample, capacity: Capacity, chance: Chance) -> Admission:
        """See :class:`~memory.stores.base.SampleStore`."""
        data = _fitting(sample, capacity)
        embedding = None
        if capacity.policy == "coreset":
            embedding = whole_embedding(sample.label_id, sample.extras.get(EMBEDDING))
        if self._known(sample):
            return Admission(admitted=False, duplicate=True)
        placing, random, evicted = PLACING[capacity.policy], Lehmer(chance.evictions), list[str]()
        domain = self._domains.setdefault(sample.domain, Domain(()))
        domain.path = path_in(capacity, sample.domain)
        shares = quotas({name: other.path for name, other in self._domains.items()}, capacity.samples)
        for name in sorted(self._domains):
            other = self._domains[name]
            other.limit = min(other.limit, shares[name])
            while len(other.slots) > other.limit:
                evicted.append(placing.evict(other, random))
        newcomer = Newcomer(sample.label_id, self._rarest(sample), embedding, chance.slot)
        self._samples[sample.label_id] = data
        evicted += placing.place(domain, newcomer, random)
        domain.seen += 1
        if sample.label_id not in domain.slots:
            del self._samples[sample.label_id]
        for label in evicted:
            self._samples.pop(label, None)
        evicted += self._shrink(capacity, random)
        return Admission(
            admitted=sample.label_id in self._samples,
            duplicate=False,
            evicted=tuple(label for label in evicted if label != sample.label_id),
        )

    async def replace(self, sample: Sample, capacity: Capacity, chance: Chance) -> Admission:
        """See :class:`~memory.stores.base.SampleStore`."""
        data = _fitting(sample, capacity)
        if sample.label_id not in self._domains.get(sample.domain, Domain(())).traits:
            return Admission(admitted=False, duplicate=False)
        self._samples[sample.label_id] = data
        evicted = self._shrink(capacity, Lehmer(chance.evictions))
        return Admission(
            admitted=sample.label_id in self._samples,
            duplicate=False,
            evicted=tuple(label for label in evicted if label != sample.label_id),
        )

    async def draw(self, policy: Policy, start: int) -> list[Sample]:
        """See :class:`~memory.stores.base.SampleStore`."""
        names = [
            n
            for n in sorted(self._domains)
            if (policy.domains is None or n in policy.domains) and n not in policy.exclude
        ]
        if isinstance(policy, Balanced):
            wanted = policy.per_domain
            groups = [
                (list(self._domains[n].slots), wanted if isinstance(wanted, int) else wanted.get(n, 0)) for n in names
            ]
        else:
            groups = [([label for n in names for label in self._domains[n].slots], policy.count)]
        random, drawn = Lehmer(start), []
        for labels, count in groups:
            for i in range(min(count, len(labels))):
                j = i + random.below(len(labels) - i)
                labels[i], labels[j] = labels[j], labels[i]
                drawn.append(Sample.from_bytes(self._samples[labels[i]]))
        return drawn

    async def stats(self) -> MemoryStats:
        """See :class:`~memory.stores.base.SampleStore`."""
        return MemoryStats(
            {
                name: DomainStats(d.seen, len(d.slots), sum(len(self._samples[label]) for label in d.slots))
                for name, d in sorted(self._domains.items())
            }
        )

    async def offsets(self) -> dict[tuple[str, int], int]:
        """See :class:`~memory.stores.base.SampleStore`."""
        return dict(self._offsets)

    async def clear(self) -> None:
        """See :class:`~memory.stores.base.SampleStore`."""
        for part in (self._domains, self._samples, self._shown, self._offsets, self._seen):
            part.clear()

    def _known(self, sample: Sample) -> bool:
        known = sample.label_id in self._seen
        if sample.source:
            partition = (sample.source.topic, sample.source.partition)
            if sample.source.offset < self._offsets.get(partition, 0):
                return True
            self._offsets[partition] = sample.source.offset + 1
        if not known:
            self._seen[sample.label_id] = None
            if len(self._seen) > self._seen_labels:
                self._seen.popitem(last=False)
        return known

    def _rarest(self, sample: Sample) -> int:
        """Return the class that a sample counts as: the rarest that it shows, by all labels before; 0 for none."""
        shown = shown_classes(sample.mask)
        rarest = min(shown, key=lambda value: (self._shown.get(value, 0), value), default=0)
        for value in shown:
            self._shown[value] = self._shown.get(value, 0) + 1
        return rarest

    def _shrink(self, capacity: Capacity, random: Lehmer) -> list[str]:
        """Give up samples of the largest domains until all is within bounds."""
        placing, evicted = PLACING[capacity.policy], list[str]()
        while len(self._samples) > capacity.samples or sum(map(len, self._samples.values())) > capacity.bytes:
            largest = self._domains[max(sorted(self._domains), key=lambda name: len(self._domains[name].slots))]
            gone = placing.evict(largest, random)
            del self._samples[gone]
            evicted.append(gone)
            if placing.ratchets:
                largest.limit = max(1, len(largest.slots))
        return evicted


def _fitting(sample: Sample, capacity: Capacity) -> bytes:
    data = sample.to_bytes()
    if len(data) > capacity.bytes:
        raise MemoryFullError(f"{sample.label_id} has {len(data)} bytes, the whole memory {capacity.bytes}")
    return data
