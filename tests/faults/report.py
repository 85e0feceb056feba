"""What a fault did to frames and labels: counted the same way for every fault."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure, measured
from stream.ledger import Entry, Mark, check_end, check_pass, passes


@dataclass(frozen=True, slots=True)
class Tried:
    """A fault at one moment, and what was checked after it."""

    fault: str
    survived: bool
    frames: int = 0
    labels: int = 0


@dataclass(slots=True)
class FaultReport:
    """One figure for each fault at each moment, and one row for each fault."""

    figures: list[Figure] = field(default_factory=list)
    tried: list[Tried] = field(default_factory=list)

    def frames(
        self,
        fault: str,
        method: str,
        published: list[str],
        entries: list[Entry],
        letters: int = 0,
        *,
        marks: Mapping[tuple[str, str], Sequence[Mark]],
    ) -> None:
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
        marks : mapping of (str, str) to sequence of Mark
            By weld and pass, what its state or its end says of its last judgement.
        """
        judged = Counter(entry.judgement.frame_id for entry in entries)
        versions = defaultdict(set)
        for entry in entries:
            versions[entry.judgement.weld_id].add(entry.judgement.model.version)
        found = passes(entries)
        chains = [
            finding
            for key in found.keys() | marks.keys()
            for finding in (*check_pass(found.get(key, [])), *check_end(found.get(key, []), marks.get(key, ())))
        ]
        wrong = {
            "frames lost": [frame for frame in published if frame not in judged],
            "frames judged twice": [frame for frame, times in judged.items() if times > 1],
            "welds judged by several versions": [weld for weld, own in versions.items() if len(own) > 1],
            "breaks of a chain": chains,
        }
        sent = len(published) + letters
        counted = f"{sent} frames sent, {len(judged)} judged, {letters} dead letters, {len(found)} passes"
        self._note(fault, f"{method}; {counted}", sum(map(len, wrong.values())), frames=sent)
        assert not any(wrong.values()), wrong

    def labels(self, fault: str, method: str, wrong: Mapping[str, int], count: int = 0) -> None:
        """Note what came of the labels, and fail unless nothing was wrong.

        Parameters
        ----------
        fault, method : str
            What was done, and how.
        wrong : mapping of str to int
            How often each promise was broken.
        count : int
            Labels checked.
        """
        self._note(fault, method, sum(abs(times) for times in wrong.values()), labels=count)
        assert not any(wrong.values()), wrong

    def recalls(self, fault: str, method: str, wrong: Mapping[str, int], count: int) -> None:
        """Note what came of frames that were judged again, and fail unless nothing was wrong; as for labels."""
        self._note(fault, method, sum(abs(times) for times in wrong.values()), frames=count)
        assert not any(wrong.values()), wrong

    def failed(self, fault: str, why: str) -> None:
        """Note a fault after which it did not even come to counting."""
        self._note(fault, why, 1)

    def print(self, console: Console) -> None:
        """Print a row for each fault, over all moments at which it was tried."""
        table = Table("fault", "tried", "survived", "frames", "labels")
        for name in dict.fromkeys(_fault(one.fault) for one in self.tried):
            own = [one for one in self.tried if _fault(one.fault) == name]
            counts = (len(own), sum(o.survived for o in own), sum(o.frames for o in own), sum(o.labels for o in own))
            table.add_row(name, *map(str, counts))
        console.print(table)

    def _note(self, fault: str, method: str, problems: int, *, frames: int = 0, labels: int = 0) -> None:
        self.figures.append(measured(fault, problems, "violations", method, at_most=0))
        self.tried.append(Tried(fault, problems == 0, frames, labels))


def _fault(name: str) -> str:
    """Return a fault's name without the moment at which it struck."""
    return name.partition(":")[0]
