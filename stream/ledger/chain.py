"""Whether the judgements of a weld are all there, in order, of one model, and as they were published. No I/O."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.judgements import Judgement

Problem = Literal["missing", "twice", "changed", "mixed_models", "end_differs"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A judgement as it lies in its topic.

    Attributes
    ----------
    judgement : Judgement
        What it says.
    digest : str
        sha256 of the record's value, byte for byte.
    """

    judgement: Judgement
    digest: str

    @classmethod
    def of(cls, judgement: Judgement, value: bytes) -> "Entry":
        """Return the entry of a record's value."""
        return cls(judgement, hashlib.sha256(value).hexdigest())


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with a pass.

    Attributes
    ----------
    problem : str
        What, for programs.
    sequence : int
        The judgement at which it shows.
    text : str
        What, for people.
    """

    problem: Problem
    sequence: int
    text: str


def passes(entries: Iterable[Entry]) -> dict[tuple[str, str], list[Entry]]:
    """Return the entries by weld and pass, each in the order of the chain."""
    found: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        found[entry.judgement.weld_id, entry.judgement.chain.pass_id].append(entry)
    return {key: sorted(own, key=lambda e: e.judgement.chain.sequence) for key, own in found.items()}


def check_pass(entries: Sequence[Entry], *, head: str | None = None, one_model: bool = True) -> list[Finding]:
    """Return what is wrong with a pass; nothing if its chain holds.

    The last judgement has no successor that would show a change: only the
    head that the weld's state keeps does.

    Parameters
    ----------
    entries : sequence of Entry
        Of one pass, at least one, ordered by sequence.
    head : str or None
        Digest that the last record must have, where it is known.
    one_model : bool
        Whether one version must have judged all; not where swaps are immediate.
    """
    findings: list[Finding] = []
    expected, previous = 0, None
    for entry in entries:
        link = entry.judgement.chain
        if link.sequence < expected:
            findings.append(Finding("twice", link.sequence, f"judgement {link.sequence} is there more than once"))
            continue
        if link.sequence > expected:
            gone = f"judgements {expected} to {link.sequence - 1} are missing"
            findings.append(Finding("missing", expected, gone))
        elif link.previous != previous:
            text = f"judgement {link.sequence} follows on another record than the one that is there"
            findings.append(Finding("changed", link.sequence, text))
        expected, previous = link.sequence + 1, entry.digest
    models = sorted({entry.judgement.model.version for entry in entries})
    if one_model and len(models) > 1:
        findings.append(Finding("mixed_models", 0, f"versions {models} judged one pass"))
    if head is not None and previous != head:
        findings.append(
            Finding("end_differs", expected - 1, "the last record is not the one that the weld's state names")
        )
    return findings
