"""Simulated phased-array scans: probes, materials, walls and coupling change from domain to domain."""

import itertools
from collections.abc import Iterator, Sequence

from schemas import ClassTable
from stream.demo.scenarios.base import Shown
from stream.simulator import DomainSpec, simulate_weld
from stream.sources import SourceFrame

FRAMES_PER_WELD = 24
EVERY = 3
"""A scan takes a frame each millimetre or two; of these one in three is shown, so that more different flaws are."""
EXAM_EVERY = 6
FIRST_LABELS = 240


class Simulated:
    """Endless, seeded traffic.

    Parameters
    ----------
    specs : sequence of DomainSpec
        Domains in the order in which the scans drift through them.
    seed : int
        The same seed gives the same pixels.
    held_out_share : float
        Share of held-out frames in the stream.
    exam_frames : int
        Frames of an exam.
    run_id : str
        Makes weld ids unique between runs on one broker.
    """

    def __init__(
        self, specs: Sequence[DomainSpec], *, seed: int, held_out_share: float, exam_frames: int, run_id: str
    ) -> None:
        self._specs = specs
        self._seed = seed
        self._share = held_out_share
        self._exam_frames = exam_frames
        self._run_id = run_id
        self._held_out = [self._welds(i, "heldout", seed + 2) for i in range(len(specs))]

    @property
    def classes(self) -> ClassTable:
        """The classes of ISO 6520-1."""
        return ClassTable()

    @property
    def domains(self) -> Sequence[str]:
        """Names of the domains in the order in which they come."""
        return [next(self._welds(i, "name", self._seed)).frame.domain for i in range(len(self._specs))]

    def first_labels(self) -> Iterator[SourceFrame]:
        """Yield labelled frames of the first domain; their ids do not depend on the run."""
        return itertools.islice(self._welds(0, "first", self._seed, run_id="first"), FIRST_LABELS)

    def stream(self, domain: int) -> Iterator[Shown]:
        """Yield frames while a domain lasts: its own welds, and held-out welds of all domains up to it in turn."""
        labelled = self._welds(domain, "weld", self._seed + 1)
        turns = itertools.cycle(range(domain + 1))
        owed = 0.0
        while True:
            owed += self._share
            if owed >= 1:
                owed -= 1
                yield Shown(next(self._held_out[next(turns)]), held_out=True)
            else:
                yield Shown(next(labelled), held_out=False)

    def exam(self, domain: int, exam: str) -> Iterator[Shown]:
        """Yield a domain's held-out frames: the same pixels at each exam, under ids of their own."""
        welds = self._welds(domain, exam, self._seed + 3, every=EXAM_EVERY)
        return (Shown(scan, held_out=True, exam=exam) for scan in itertools.islice(welds, self._exam_frames))

    def _welds(
        self, domain: int, purpose: str, seed: int, *, run_id: str | None = None, every: int = EVERY
    ) -> Iterator[SourceFrame]:
        for number in itertools.count():
            weld = simulate_weld(
                self._specs[domain],
                seed=(seed, domain, number),
                frames=FRAMES_PER_WELD,
                weld_id=f"{run_id or self._run_id}-{purpose}-{domain}-{number}".replace(":", "-"),
            )
            # Welds start at different frames, or all would show their flaws at the same stage.
            yield from itertools.islice(weld, number % every, None, every)
