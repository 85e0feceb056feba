"""What a fault did to the frames: counted the same way for every fault."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.figures import Figure, measured
from stream.ledger import Entry, check_pass, passes


@dataclass(slots=True)
class FaultReport:
    """One row for each fault that was tried."""

    figures: list[Figure] = field(default_factory=list)

    def frames(self, fault: str, method: str, published: list[str], entries: list[Entry], letters: int = 0) -> None:
        """Check what came of the frames, note it, and fail unless every promise was kept.

        Parameters
        ----------
        fault, method : str
            What was done, and how.
        published : list of str
            Ids of all frames sent that can be judged.
        entries : list of Entry
            All judgements that a reader of committed records sees.
        letters : int
            Frames sent that cannot be judged, each of which has a dead letter.
        """
        judged = Counter(entry.judgement.frame_id for entry in entries)
        lost = [frame for frame in published if frame not in judged]
        twice = [frame for frame, times in judged.items() if times > 1]
        findings = [finding for own in passes(entries).values() for finding in check_pass(own)]
        sent = f"{len(published) + letters} frames sent, {len(judged)} judged, {letters} dead letters"
        problems = len(lost) + len(twice) + len(findings)
        self.figures.append(
            measured(fault, problems, "violations", f"{method}; {sent}, {len(passes(entries))} passes", at_most=0)
        )
        assert not lost
        assert not twice
        assert not findings

    def labels(self, fault: str, method: str, wrong: Mapping[str, int]) -> None:
        """Note what came of the labels, and fail unless nothing was wrong.

        Parameters
        ----------
        fault, method : str
            What was done, and how.
        wrong : mapping of str to int
            How often each promise was broken.
        """
        broken = sum(abs(times) for times in wrong.values())
        self.figures.append(measured(fault, broken, "violations", method, at_most=0))
        assert not broken, wrong
