"""The share of labels that is never trained on."""

import hashlib
from collections.abc import Iterable

from learner.settings import HoldoutSettings
from memory.descriptors import EDITION_MARK
from memory.episodic import EpisodicMemory
from memory.samples import Sample
from memory.sampling import Balanced


class HoldoutRule:
    """Decides from the label alone, so that a restart or a rebuild decides the same.

    By default whole welds are held out, so that no weld is in both: frames of
    one weld resemble each other. With ``unit="label"`` the split is within
    welds, for domains that have only a few.

    Parameters
    ----------
    settings : HoldoutSettings
        Share, unit and seed.
    """

    def __init__(self, settings: HoldoutSettings) -> None:
        self._settings = settings

    def holds_out(self, domain: str, weld_id: str, label_id: str) -> bool:
        """Tell whether a label is held out."""
        unit = weld_id if self._settings.unit == "weld" else label_id
        # A domain that opened by itself may begin within a weld, which must not be on both sides for it.
        descriptor = domain.partition(EDITION_MARK)[0]
        digest = hashlib.sha256(f"{self._settings.seed}\0{descriptor}\0{unit}".encode()).digest()
        return (int.from_bytes(digest[:8], "big") >> 11) / 2**53 < self._settings.share


class ValidationSet:
    """The held-out labels: stored in a memory of their own, and at hand in this process.

    Parameters
    ----------
    memory : EpisodicMemory
        Where they survive a restart; its capacity bounds both.
    """

    def __init__(self, memory: EpisodicMemory) -> None:
        self._memory = memory
        self._samples: dict[str, Sample] = {}

    async def load(self) -> None:
        """Read what is stored, in the order of the topic."""
        stats = await self._memory.stats()
        counts = {name: domain.stored for name, domain in stats.domains.items() if domain.stored}
        stored = await self._memory.draw(Balanced(counts)) if counts else []
        self._samples = {s.label_id: s for s in sorted(stored, key=_position)}

    async def add(self, sample: Sample) -> None:
        """Keep a held-out label; a known one changes nothing."""
        admission = await self._memory.admit(sample)
        for label_id in admission.evicted:
            self._samples.pop(label_id, None)
        if admission.admitted and not admission.duplicate:
            self._samples[sample.label_id] = sample

    def __len__(self) -> int:
        """Return the number of samples at hand."""
        return len(self._samples)

    def newest(self, count: int) -> list[Sample]:
        """Return the newest labels."""
        return list(self._samples.values())[-count:] if count else []

    def of_domains(self, domains: Iterable[str], per_domain: int) -> list[Sample]:
        """Return the newest labels of each domain, oldest domain first."""
        if not per_domain:
            return []
        by_domain: dict[str, list[Sample]] = {name: [] for name in domains}
        for sample in self._samples.values():
            if sample.domain in by_domain:
                by_domain[sample.domain].append(sample)
        return [sample for samples in by_domain.values() for sample in samples[-per_domain:]]


def _position(sample: Sample) -> tuple[int, int]:
    return (sample.source.offset, sample.source.partition) if sample.source else (-1, 0)
