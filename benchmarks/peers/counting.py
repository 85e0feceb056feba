"""Lost, twice, refused, and how long it took: counted from what was sent and what came back."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.peers.peer import Answer


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of frames.

    Attributes
    ----------
    sent : int
        Frames that were sent and acknowledged.
    lost : tuple of str
        Those of which nothing came back, in the order in which they were sent.
    twice : tuple of str
        Those that were judged more than once.
    refused : tuple of str
        Those that were never judged, and of which the sender was told so.
    """

    sent: int
    lost: tuple[str, ...]
    twice: tuple[str, ...]
    refused: tuple[str, ...]


def tally(sent: Iterable[str], answers: Iterable[Answer]) -> Tally:
    """Count frames; answers to others than those sent are left out."""
    ids = list(sent)
    known = list(answers)
    judged = Counter(answer.frame_id for answer in known if not answer.refused)
    refused = {answer.frame_id for answer in known if answer.refused}
    return Tally(
        len(ids),
        tuple(i for i in ids if i not in judged and i not in refused),
        tuple(i for i in ids if judged[i] > 1),
        tuple(i for i in ids if i not in judged and i in refused),
    )


def latencies(sent: Mapping[str, float], answers: Iterable[Answer]) -> dict[str, float]:
    """Return the seconds from sending to the first judgement of each frame that was judged."""
    found: dict[str, float] = {}
    for answer in answers:
        if not answer.refused and answer.frame_id in sent:
            took = answer.at - sent[answer.frame_id]
            found[answer.frame_id] = min(took, found.get(answer.frame_id, took))
    return found


def mixed(welds: Mapping[str, str], answers: Iterable[Answer]) -> tuple[str, ...]:
    """Return the welds whose frames were not all judged by one version.

    Parameters
    ----------
    welds : mapping of str to str
        The weld of each frame; answers to other frames are left out.
    """
    versions: dict[str, set[int]] = {}
    for answer in answers:
        if not answer.refused and answer.frame_id in welds:
            versions.setdefault(welds[answer.frame_id], set()).add(answer.version)
    return tuple(weld for weld, by in versions.items() if len(by) > 1)


def first_of(version: int, answers: Iterable[Answer]) -> float | None:
    """Return when a version, or one after it, first judged; None where none did."""
    return min((a.at for a in answers if not a.refused and a.version >= version), default=None)


def split(
    sent: Mapping[str, float], taken: Mapping[str, float], windows: Sequence[tuple[float, float]]
) -> tuple[list[float], list[float]]:
    """Return the latencies of frames sent outside all windows, and of those sent inside one.

    Parameters
    ----------
    sent, taken : mapping of str to float
        When each frame was sent, and how long it took, in seconds.
    windows : sequence of (float, float)
        Beginning and end, both included.
    """
    steady: list[float] = []
    during: list[float] = []
    for frame_id, took in taken.items():
        inside = any(begin <= sent[frame_id] <= end for begin, end in windows)
        (during if inside else steady).append(took)
    return steady, during


def p99(values: Sequence[float]) -> float:
    """Return the 99th percentile, not a number where there is nothing."""
    return float(np.percentile(values, 99)) if values else float("nan")
