"""From where a learner goes on: its own checkpoint, a released version, or nothing."""

from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from learner.checkpoint import Checkpoint, CheckpointStore
from memory.history import served_line
from memory.registry import ModelRegistry
from schemas.errors import BadRecordError
from schemas.events import ModelReleased, ModelVersion
from schemas.labels import LabelledFrame
from schemas.settings import KafkaSettings
from schemas.topics import LABELS
from stream.codec import decode_event
from stream.reading import partitions_of, read_to_end


@dataclass(frozen=True, slots=True)
class Revoked:
    """Whose labels must not be in any weights, and where they lie.

    Attributes
    ----------
    inspectors : frozenset of str
        Who.
    positions : frozenset of (int, int)
        Partition and offset of each of their labels.
    """

    inspectors: frozenset[str] = frozenset()
    positions: frozenset[tuple[int, int]] = frozenset()
    _first: dict[int, int] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for partition, offset in self.positions:
            self._first[partition] = min(offset, self._first.get(partition, offset))

    def spares(self, without: frozenset[str], read: Mapping[int, int]) -> bool:
        """Tell whether weights are free of their labels.

        Parameters
        ----------
        without : frozenset of str
            Inspectors left out of the weights.
        read : mapping of int to int
            By partition the first offset that the learner had not read then.
        """
        if self.inspectors <= without:
            return True
        return all(read.get(partition, 0) <= first for partition, first in self._first.items())


async def find_revoked(kafka: KafkaSettings, inspectors: frozenset[str]) -> Revoked:
    """Look through the labels topic for labels of revoked inspectors; not at all where there is none."""
    positions = set()
    if inspectors:
        partitions = await partitions_of(kafka, kafka.topic(LABELS))
        async with aclosing(read_to_end(kafka, partitions)) as records:
            async for record in records:
                try:
                    label = decode_event(record, LABELS, LabelledFrame)
                except BadRecordError:
                    continue
                if label.inspector_id in inspectors:
                    positions.add((record.partition, record.offset))
    return Revoked(inspectors, frozenset(positions))


@dataclass(frozen=True, slots=True)
class Beginning:
    """From where to go on.

    Attributes
    ----------
    checkpoint : Checkpoint or None
        To be continued exactly.
    version : ModelVersion or None
        Without a checkpoint, whose weights are taken; None begins untrained.
    serving : ModelReleased or None
        What serves meanwhile.
    """

    checkpoint: Checkpoint | None
    version: ModelVersion | None
    serving: ModelReleased | None

    @property
    def without(self) -> frozenset[str]:
        """Revoked inspectors whose labels were left out of these weights."""
        if self.checkpoint is not None:
            return frozenset(self.checkpoint.extra["without"])
        return frozenset(self.version.without_inspectors) if self.version else frozenset()

    @property
    def read(self) -> dict[int, int]:
        """By partition the offset up to which labels are accounted for in these weights."""
        if self.checkpoint is not None:
            return {int(p): offset for p, offset in self.checkpoint.extra["read"].items()}
        return dict(self.version.labels_until) if self.version else {}


def find_beginning(
    registry: ModelRegistry,
    checkpoints: CheckpointStore,
    holder: str,
    revoked: Revoked,
    note: Callable[[str], None],
    *,
    deterministic: bool,
) -> Beginning:
    """Choose from where to go on. Blocking.

    Parameters
    ----------
    registry : ModelRegistry
        Its newest fence is ours.
    checkpoints : CheckpointStore
        Ours; may be older than what another learner has released since.
    holder : str
        Our name in fences.
    revoked : Revoked
        What must not be in the weights.
    note : callable
        Told in words why a checkpoint is not used.
    deterministic : bool
        Prefer the checkpoint from before the first model to the version that came of it.
    """
    serving = registry.serving()
    checkpoint = checkpoints.load_latest()
    if checkpoint is not None:
        extra = checkpoint.extra
        read = {int(p): offset for p, offset in extra["read"].items()}
        if registry.holders_since(extra["epoch"]) - {holder}:
            note("another learner has led since it was written")
            checkpoint = None
        elif not revoked.spares(frozenset(extra["without"]), read):
            note(f"it has learned labels of {', '.join(sorted(revoked.inspectors))}")
            checkpoint = None
        elif serving is not None and not extra["trained"] and not deterministic:
            note("a version was released since it was written")
            checkpoint = None
    if checkpoint is not None or serving is None:
        return Beginning(checkpoint, None, serving)
    releases = registry.releases()
    versions = {release.version.model.version: release.version for release in releases}
    candidates = (versions[number] for number in reversed(served_line(releases)))
    clean = (v for v in candidates if revoked.spares(frozenset(v.without_inspectors), v.labels_read))
    return Beginning(None, next(clean, None), serving)
