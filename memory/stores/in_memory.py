"""The rules of the memory, in plain Python; Redis follows them in Lua."""

from collections import OrderedDict
from dataclasses import dataclass, field

from memory.admission import Chance, Lehmer
from memory.samples import Sample
from memory.sampling import Balanced, Policy
from memory.stores.base import SEEN_LABELS, Admission, Capacity, DomainStats, MemoryFullError, MemoryStats


@dataclass
class _Domain:
    seen: int = 0
    # Only ever falls: a sample that shrank stays uniform at its size, and cannot grow back without bias.
    limit: int = 2**53
    slots: list[str] = field(default_factory=list)


class InMemoryStore:
    """A store that lives as long as its process."""

    def __init__(self, seen_labels: int = SEEN_LABELS) -> None:
        self._seen_labels = seen_labels
        self._domains: dict[str, _Domain] = {}
        self._samples: dict[str, bytes] = {}
        self._offsets: dict[tuple[str, int], int] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()

    async def admit(self, sample: Sample, capacity: Capacity, chance: Chance) -> Admission:
        """See :class:`~memory.stores.base.SampleStore`."""
        data = sample.to_bytes()
        if len(data) > capacity.bytes:
            raise MemoryFullError(f"{sample.label_id} has {len(data)} bytes, the whole memory {capacity.bytes}")
        if self._known(sample):
            return Admission(admitted=False, duplicate=True)
        domain = self._domains.setdefault(sample.domain, _Domain())
        quota = max(1, capacity.samples // len(self._domains))
        random, evicted = Lehmer(chance.evictions), list[str]()
        for name in sorted(self._domains):
            other = self._domains[name]
            other.limit = min(other.limit, quota)
            while len(other.slots) > other.limit:
                evicted.append(self._evict(other, random))
        slot = domain.seen if domain.seen < domain.limit else int(chance.slot * (domain.seen + 1))
        domain.seen += 1
        if slot < domain.limit:
            if slot < len(domain.slots):
                evicted.append(domain.slots[slot])
                del self._samples[domain.slots[slot]]
                domain.slots[slot] = sample.label_id
            else:
                domain.slots.append(sample.label_id)
            self._samples[sample.label_id] = data
        while len(self._samples) > capacity.samples or sum(map(len, self._samples.values())) > capacity.bytes:
            largest = max(sorted(self._domains), key=lambda name: len(self._domains[name].slots))
            evicted.append(self._evict(self._domains[largest], random))
            self._domains[largest].limit = max(1, len(self._domains[largest].slots))
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
        for part in (self._domains, self._samples, self._offsets, self._seen):
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

    def _evict(self, domain: _Domain, random: Lehmer) -> str:
        i = random.below(len(domain.slots))
        label = domain.slots[i]
        domain.slots[i] = domain.slots[-1]
        domain.slots.pop()
        del self._samples[label]
        return label
