"""Labels as the learner holds them, and as they come from the broker."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from learner.labels import Label
from memory.episodic import EpisodicMemory
from memory.samples import Sample
from memory.stores.base import Capacity
from memory.stores.in_memory import InMemoryStore
from schemas.judgements import RecordPosition
from stream.records import Headers
from stream.scoring import Confusion

TOPIC = "test-1.labels"
GIVEN = datetime(2024, 5, 1, 12, tzinfo=UTC)
READ = GIVEN + timedelta(seconds=2)
CLASSES = 3


@dataclass
class Record:
    """What a consumer would hand over."""

    topic: str = TOPIC
    partition: int = 0
    offset: int = 0
    timestamp: int = 1_760_000_000_000
    key: bytes | None = None
    value: bytes | None = None
    headers: Headers = field(default_factory=tuple)


def make_sample(
    number: int = 0, domain: str = "a", weld: str = "weld-1", *, offset: int | None = None, side: int = 6
) -> Sample:
    rng = np.random.default_rng(number)
    return Sample(
        label_id=f"label-{number}",
        domain=domain,
        weld_id=weld,
        pixels=rng.integers(0, 255, (side, side)).astype(np.uint8),
        mask=rng.integers(0, CLASSES, (side, side)).astype(np.uint8),
        source=None if offset is None else RecordPosition(topic=TOPIC, partition=0, offset=offset),
    )


def make_label(
    number: int = 0,
    domain: str = "a",
    *,
    offset: int | None = None,
    partition: int = 0,
    served_by: int | None = None,
    served: Confusion | None = None,
    inspector: str = "inspector",
    weld: str = "weld-1",
) -> Label:
    at = number if offset is None else offset
    record = Record(partition=partition, offset=at)
    return Label(make_sample(number, domain, weld, offset=at), record, inspector, GIVEN, READ, served_by, served)


def make_memory(samples: int = 100, size: int = 10**6, seed: int = 0) -> EpisodicMemory:
    return EpisodicMemory(InMemoryStore(), Capacity(samples, size), seed=seed, rng=np.random.default_rng(seed))


def counted(found: int, missed: int) -> Confusion:
    """Counts of one frame with so many defect pixels found and missed."""
    mask: NDArray[np.uint8] = np.array([[1] * (found + missed) + [0]], np.uint8)
    judged = mask.copy()
    judged[0, :missed] = 0
    return Confusion.of(judged, mask, CLASSES)
