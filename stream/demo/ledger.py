"""Books of a demo run: what went in, what came out, and when. No I/O."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from schemas import Judgement, LabelledFrame, ModelReleased
from stream.scoring import Confusion

SWAP_WINDOW_SECONDS = 2.0
"""A judgement this close after an announcement counts as made while swapping."""


@dataclass(frozen=True, slots=True)
class Published:
    """A frame that was sent, with its truth.

    Attributes
    ----------
    domain : str
        Its domain.
    held_out : bool
        Whether no label is ever given for it.
    exam : str
        Name of the exam it belongs to; empty for a frame of the stream.
    mask : NDArray[np.uint8]
        The true mask, shape ``(H, W)``.
    """

    domain: str
    held_out: bool
    exam: str
    mask: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Scored:
    """One judgement of a held-out frame, scored."""

    at: datetime
    domain: str
    exam: str
    role: str
    version: int
    counts: Confusion


@dataclass(frozen=True, slots=True)
class Way:
    """When a label was given, the training state with it taken, announced, and first used to judge."""

    labelled_at: datetime
    trained_at: datetime
    announced_at: datetime
    judged_at: datetime

    @property
    def seconds(self) -> float:
        """From the label to the first judgement of a version that has learned it."""
        return (self.judged_at - self.labelled_at).total_seconds()

    @property
    def parts(self) -> dict[str, float]:
        """The same, part by part, in seconds."""
        return {
            "to_training_state": (self.trained_at - self.labelled_at).total_seconds(),
            "to_announcement": (self.announced_at - self.trained_at).total_seconds(),
            "to_judgement": (self.judged_at - self.announced_at).total_seconds(),
        }


@dataclass(slots=True)
class Ledger:
    """Everything that a run's report is made of.

    Parameters
    ----------
    classes : int
        Number of mask values, the background included.
    """

    classes: int
    published: dict[str, Published] = field(default_factory=dict)
    judged: Counter[str] = field(default_factory=Counter)
    shadow_judged: Counter[str] = field(default_factory=Counter)
    scored: list[Scored] = field(default_factory=list)
    latencies: list[tuple[datetime, float]] = field(default_factory=list)
    releases: list[ModelReleased] = field(default_factory=list)
    first_judged: dict[int, datetime] = field(default_factory=dict)
    requested: set[str] = field(default_factory=set)
    answered: dict[tuple[int, int], datetime] = field(default_factory=dict)
    alerts: Counter[str] = field(default_factory=Counter)
    domains: list[str] = field(default_factory=list)
    domain_began: list[tuple[datetime, str]] = field(default_factory=list)

    def publish(self, frame_id: str, frame: Published) -> None:
        """Note a frame that is about to be sent."""
        self.published[frame_id] = frame

    def begin_domain(self, domain: str, at: datetime) -> None:
        """Note that the scans have drifted into a domain."""
        self.domains.append(domain)
        self.domain_began.append((at, domain))

    def judge(self, judgement: Judgement, mask: NDArray[np.uint8], role: str) -> None:
        """Note a judgement by the served model or by the frozen one.

        Parameters
        ----------
        judgement : Judgement
            As published.
        mask : NDArray[np.uint8]
            Its mask, decoded, shape ``(H, W)``.
        role : {"served", "frozen"}
            Who judged.
        """
        counter = self.judged if role == "served" else self.shadow_judged
        counter[judgement.frame_id] += 1
        sent = self.published.get(judgement.frame_id)
        if sent is None or counter[judgement.frame_id] > 1:
            return
        if role == "served":
            self.latencies.append((judgement.judged_at, judgement.latency_seconds))
            self.first_judged.setdefault(judgement.model.version, judgement.judged_at)
        if sent.held_out:
            self.scored.append(
                Scored(
                    at=judgement.judged_at,
                    domain=sent.domain,
                    exam=sent.exam,
                    role=role,
                    version=judgement.model.version,
                    counts=Confusion.of(mask, sent.mask, self.classes),
                )
            )

    def release(self, released: ModelReleased) -> None:
        """Note an announcement."""
        self.releases.append(released)

    def answer(self, label: LabelledFrame, partition: int, offset: int) -> None:
        """Note a label and where it lies in the labels topic."""
        self.answered[partition, offset] = label.labelled_at

    def label_to_served(self) -> list[Way]:
        """Return the way of each label that a version has learned which then judged a frame."""
        ways = []
        versions = sorted(self.releases, key=lambda r: r.version.model.version)
        for (partition, offset), labelled_at in self.answered.items():
            served = (
                Way(labelled_at, r.version.created_at, r.announced_at, self.first_judged[r.version.model.version])
                for r in versions
                if offset < r.version.labels_until.get(partition, 0) and r.version.model.version in self.first_judged
            )
            first = next(served, None)
            if first is not None:
                ways.append(first)
        return ways

    @property
    def lost(self) -> int:
        """Frames that the served model has not judged."""
        return sum(1 for frame_id in self.published if frame_id not in self.judged)

    @property
    def judged_twice(self) -> int:
        """Frames with more than one judgement of the served model."""
        return sum(1 for times in self.judged.values() if times > 1)

    def open(self) -> int:
        """Return how many frames either model still owes."""
        return self.lost + sum(1 for frame_id in self.published if frame_id not in self.shadow_judged)

    def exam(self, domain: str, role: str, exam: str) -> Confusion | None:
        """Return the counts of a domain's exam, or None if none of it was judged."""
        chosen = [s.counts for s in self.scored if (s.domain, s.role, s.exam) == (domain, role, exam)]
        return sum(chosen, Confusion.empty(self.classes)) if chosen else None

    def recent(self, domain: str, role: str, frames: int) -> float | None:
        """Return the pooled Dice of the last held-out frames of a domain, or None if none was judged."""
        chosen = [s.counts for s in self.scored if s.domain == domain and s.role == role][-frames:]
        return sum(chosen, Confusion.empty(self.classes)).foreground_dice if chosen else None

    def series(self, domain: str, role: str, window: int = 12) -> tuple[list[datetime], list[float]]:
        """Return times and pooled Dice of each ``window`` successive held-out frames of a domain."""
        scored = sorted((s for s in self.scored if s.domain == domain and s.role == role), key=lambda s: s.at)
        times, values = [], []
        for start in range(0, len(scored) - window + 1, window // 2):
            part = scored[start : start + window]
            times.append(part[-1].at)
            values.append(sum((s.counts for s in part), Confusion.empty(self.classes)).foreground_dice)
        return times, values

    def in_swap(self, at: datetime) -> bool:
        """Return whether a judgement fell into the window after an announcement."""
        return any(0 <= (at - r.announced_at).total_seconds() <= SWAP_WINDOW_SECONDS for r in self.releases)

    def latency_ms(self) -> dict[str, float | None]:
        """Return p50 and p99 of all judgements and p99 of those in swap windows, in ms."""
        every = [seconds for _, seconds in self.latencies]
        swap = [seconds for at, seconds in self.latencies if self.in_swap(at)]
        return {"p50": percentile_ms(every, 50), "p99": percentile_ms(every, 99), "swap_p99": percentile_ms(swap, 99)}


def percentile_ms(seconds: Sequence[float], q: float) -> float | None:
    """Return a percentile in ms, or None of nothing."""
    return round(float(np.percentile(np.asarray(seconds), q)) * 1000, 2) if seconds else None


def percentiles(seconds: Sequence[float]) -> Mapping[str, float | None]:
    """Return p50 and p99 in seconds."""
    values = {q: percentile_ms(seconds, int(q[1:])) for q in ("p50", "p99")}
    return {q: None if v is None else round(v / 1000, 3) for q, v in values.items()}
