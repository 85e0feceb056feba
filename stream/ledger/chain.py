"""Whether the judgements of a weld are all there, in order, of one model, and as they were published. No I/O."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.judgements import Judgement

Problem = Literal[
    "missing", "twice", "changed", "mixed_models", "end_differs", "end_missing", "end_unknown", "beyond_end"
]


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
class Mark:
    """What somebody else than the judgements says of where a chain stands.

    Attributes
    ----------
    judged : int
        Judgements of the pass so far.
    head : str or None
        Digest of the last of them.
    ended : bool
        Whether the pass has no more than these.
    at_least : bool
        Whether it was read before the judgements, so that these must reach
        it; otherwise they were read before it and must not exceed it.
    """

    judged: int
    head: str | None
    ended: bool
    at_least: bool


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


def check_pass(entries: Sequence[Entry], *, one_model: bool = True, cut: bool = False) -> list[Finding]:
    """Return what is wrong with a pass; nothing if its chain holds.

    The last judgement has no successor that would show a change or its loss:
    :func:`check_end` does.

    Parameters
    ----------
    entries : sequence of Entry
        Of one pass, ordered by sequence.
    one_model : bool
        Whether one version must have judged all; not where swaps are immediate.
    cut : bool
        Whether the pass may begin before what was read.
    """
    findings: list[Finding] = []
    expected, previous = 0, None
    if cut and entries:
        expected, previous = entries[0].judgement.chain.sequence, entries[0].judgement.chain.previous
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
    return findings


def check_end(entries: Sequence[Entry], marks: Sequence[Mark]) -> list[Finding]:
    """Return what is wrong with the end of a pass, by what the weld's states and its end say.

    Parameters
    ----------
    entries : sequence of Entry
        Of one pass, ordered by sequence.
    marks : sequence of Mark
        All that is known of the pass.
    """
    if not marks:
        return [Finding("end_unknown", len(entries), "neither a state nor an end says what the last judgement is")]
    digests = {entry.judgement.chain.sequence: entry.digest for entry in entries}
    there = max(digests, default=-1) + 1
    findings: dict[tuple[Problem, int], Finding] = {}

    def found(problem: Problem, sequence: int, text: str) -> None:
        findings.setdefault((problem, sequence), Finding(problem, sequence, text))

    for mark in marks:
        if mark.judged > there and mark.at_least:
            found("end_missing", there, f"judgements from {there} on are missing: {mark.judged} were made")
        elif 0 < mark.judged <= there and digests.get(mark.judged - 1) != mark.head:
            text = f"judgement {mark.judged - 1} is not the record that the weld's state or its end names"
            found("end_differs", mark.judged - 1, text)
    exact = [mark.judged for mark in marks if mark.ended]
    later = [mark.judged for mark in marks if not mark.at_least]
    known = min(exact) if exact else max(later, default=there)
    if there > known:
        found("beyond_end", known, f"there are {there} judgements, but the weld's state or its end knows of {known}")
    return list(findings.values())
