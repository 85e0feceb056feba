"""The learner's books: which labels wait, which are done, what a checkpoint says of them."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any

from learner.checkpoint import Position
from learner.hidden_changes import HiddenChanges
from learner.labels import KnownLabels, Label
from learner.progress import Progress
from learner.settings import DomainSettings
from memory.samples import Sample
from schemas.events import ModelVersion


@dataclass(frozen=True, slots=True)
class Learnt:
    """When a label that no announced version has learned yet was given, read and learned."""

    label_id: str
    labelled_at: datetime
    received_at: datetime
    learned_at: datetime


def strike_key(sample: Sample) -> str:
    """Return what strikes a sample out: its place in the topic, so that the same label may be sent again."""
    return f"{sample.source.partition}:{sample.source.offset}" if sample.source else sample.label_id


class Books:
    """All that moves together with the weights, apart from the weights.

    Parameters
    ----------
    topic : str
        Full name of the labels topic.
    known_limit : int
        Label ids remembered.
    changes : HiddenChanges or None
        Names the labels' domains; None takes them as their frames name them.
    """

    def __init__(self, topic: str, known_limit: int, changes: HiddenChanges | None = None) -> None:
        self._topic = topic
        self._limit = known_limit
        self.progress = Progress()
        self.known = KnownLabels(known_limit)
        self.changes = changes or HiddenChanges(DomainSettings(drift=False))
        self.pending: OrderedDict[str, Label] = OrderedDict()
        self.learned = 0
        self.in_model = 0
        self.since_checkpoint = 0
        self.unreleased: list[Learnt] = []
        self.struck: dict[str, None] = {}
        self.divergences = 0

    def knows(self, label_id: str) -> bool:
        """Tell whether a label waits or is done with."""
        return label_id in self.pending or label_id in self.known

    def group(self, most: int) -> list[Label]:
        """Return the oldest labels that wait, all of the first one's domain; they stay until settled."""
        labels = list(self.pending.values())
        return [label for label in labels if label.sample.domain == labels[0].sample.domain][:most]

    def whole_group(self, most: int) -> list[Label]:
        """Return the oldest labels that wait, of one domain and in order, once their group cannot grow; else none.

        A group so made depends on the labels alone, not on when they came.
        """
        labels = list(self.pending.values())
        together = list(takewhile(lambda label: label.sample.domain == labels[0].sample.domain, labels))
        return together[:most] if len(together) >= most or len(together) < len(labels) else []

    def settle(self, label: Label) -> None:
        """Note that a label is done with."""
        self.pending.pop(label.sample.label_id, None)
        self.progress.settle(label.partition, label.offset)
        self.known.add(label.sample.label_id)

    def settle_learned(self, label: Label, at: datetime) -> None:
        """Note that a label is in the weights."""
        self.settle(label)
        self.learned += 1
        self.in_model += 1
        self.since_checkpoint += 1
        self.unreleased.append(Learnt(label.sample.label_id, label.labelled_at, label.received_at, at))

    def position(self, step: int, memory_cursor: Mapping[tuple[str, int], int]) -> Position:
        """Return what a checkpoint says of the input."""
        return Position(
            step=step,
            labels_learned=self.learned,
            offsets={f"{self._topic}-{p}": o for p, o in self.progress.offsets().items()},
            memory_cursor={f"{topic}-{p}": o for (topic, p), o in memory_cursor.items()},
        )

    def state(self) -> dict[str, Any]:
        """Return the rest, for a checkpoint."""
        return {
            "ahead": {str(p): offsets for p, offsets in self.progress.ahead().items()},
            "read": {str(p): o for p, o in self.progress.positions().items()},
            "known": self.known.state(),
            "changes": self.changes.state(),
            "struck": list(self.struck),
            "divergences": self.divergences,
            "in_model": self.in_model,
            "unreleased": [
                [u.label_id, u.labelled_at.isoformat(), u.received_at.isoformat(), u.learned_at.isoformat()]
                for u in self.unreleased
            ],
        }

    def begin_with(self, version: ModelVersion) -> None:
        """Begin without a checkpoint, after the labels that a version has learned."""
        self.progress = Progress(version.labels_until)
        self.in_model = version.labels_learned

    def restore(self, position: Position, state: Mapping[str, Any]) -> None:
        """Continue from a checkpoint; what waited then is read again."""
        offsets = {int(name.rsplit("-", 1)[1]): offset for name, offset in position.offsets.items()}
        self.progress = Progress(offsets, {int(p): ahead for p, ahead in state["ahead"].items()})
        self.known = KnownLabels(self._limit, state["known"])
        if "changes" in state:  # checkpoints from before domains opened by themselves have none
            self.changes.restore(state["changes"])
        self.struck = dict.fromkeys(state["struck"])
        self.divergences = state["divergences"]
        self.learned = position.labels_learned
        self.in_model = state["in_model"]
        self.unreleased = [Learnt(i, *(datetime.fromisoformat(t) for t in times)) for i, *times in state["unreleased"]]
