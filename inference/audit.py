"""Verifies what was published of a weld, and finds the welds that another version would have judged otherwise."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from inference.verification import Frames, Models, differences, rejudge, thresholds_of
from schemas.errors import WeldstreamError
from schemas.settings import KafkaSettings, RegistrySettings
from stream.ledger import Finding, check_pass, passes, read_entries


@dataclass(slots=True)
class PassReport:
    """One pass of a weld.

    Attributes
    ----------
    pass_id : str
        The frame with which it began.
    version : int
        The model that judged its first frame.
    judgements : int
        In the chain.
    findings : list of Finding
        What is wrong with the chain.
    same, gone : int
        Frames that gave the same again, and frames that are no longer retained.
    differing : dict of str to list of str
        Frames that did not, with what differs.
    """

    pass_id: str
    version: int
    judgements: int
    findings: list[Finding]
    same: int = 0
    gone: int = 0
    differing: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WeldReport:
    """All that was found of a weld."""

    weld_id: str
    passes: list[PassReport]

    @property
    def holds(self) -> bool:
        """Whether something was judged, every chain holds, and no frame gave something else."""
        return bool(self.passes) and not any(p.findings or p.differing for p in self.passes)

    def lines(self) -> Iterator[str]:
        """Yield the report for people."""
        if not self.passes:
            yield f"{self.weld_id}: no judgements are retained"
        for p in self.passes:
            state = "chain holds" if not p.findings else "chain broken"
            yield (
                f"{self.weld_id} from {p.pass_id}: {p.judgements} judgements by v{p.version}, {state}; "
                f"judged again: {p.same} the same, {len(p.differing)} differ, {p.gone} no longer retained"
            )
            for finding in p.findings:
                yield f"  {finding.problem}: {finding.text}"
            for frame_id, what in p.differing.items():
                yield f"  {frame_id}: {', '.join(what)}"


async def verify_weld(
    kafka: KafkaSettings, registry: RegistrySettings, weld_id: str, cache: Path, *, rejudge: bool
) -> WeldReport:
    """Check the chains of a weld, and judge its frames again where they are still there.

    Raises
    ------
    WeldstreamError
        If a version that judged cannot be loaded.
    """
    reports = []
    models = Models(registry, cache)
    async with Frames(kafka) as frames:
        for (_, pass_id), entries in passes(await read_entries(kafka, weld_id)).items():
            first = entries[0].judgement
            report = PassReport(pass_id, first.model.version, len(entries), check_pass(entries))
            reports.append(report)
            for entry in entries if rejudge else ():
                frame = await frames.fetch(entry.judgement.source)
                if frame is None:
                    report.gone += 1
                    continue
                session = await asyncio.to_thread(models.session, entry.judgement.model.version)
                found = await asyncio.to_thread(differences, entry.judgement, frame, session)
                if found:
                    report.differing[entry.judgement.frame_id] = found
                else:
                    report.same += 1
    return WeldReport(weld_id, reports)


@dataclass(slots=True)
class RecallReport:
    """Which welds another version would have judged otherwise.

    Attributes
    ----------
    old, new : int
        The version that judged, and the one that judged again.
    flipped : dict of str to (bool, bool)
        Welds with a frame flagged by one of them only: whether the old one
        flagged any frame of it, and whether the new one does.
    frames, gone : int
        Frames judged again, and frames that are no longer retained.
    """

    old: int
    new: int
    flipped: dict[str, tuple[bool, bool]]
    frames: int
    gone: int

    def lines(self) -> Iterator[str]:
        """Yield the report for people."""
        yield f"{self.frames} frames that v{self.old} judged were judged by v{self.new}, {self.gone} are gone"
        for weld_id, (before, after) in sorted(self.flipped.items()):
            words = {True: "defective", False: "sound"}
            yield f"  {weld_id}: {words[before]} by v{self.old}, {words[after]} by v{self.new}"


async def recall(
    kafka: KafkaSettings, registry: RegistrySettings, versions: tuple[int, int], cache: Path
) -> RecallReport:
    """Judge what one version judged with another.

    Raises
    ------
    WeldstreamError
        If the new version cannot be loaded.
    """
    old, new = versions
    models = Models(registry, cache)
    session = await asyncio.to_thread(models.session, new)
    verdicts: dict[str, tuple[bool, bool]] = {}
    judged = gone = 0
    async with Frames(kafka) as frames:
        for entry in await read_entries(kafka):
            judgement = entry.judgement
            if judgement.model.version != old:
                continue
            frame = await frames.fetch(judgement.source)
            if frame is None:
                gone += 1
                continue
            again = await asyncio.to_thread(rejudge, frame, session, thresholds_of(judgement))
            before, after = verdicts.get(judgement.weld_id, (False, False))
            verdicts[judgement.weld_id] = before or judgement.flagged, after or again.verdict.flagged
            judged += 1
    if not judged and not gone:
        raise NothingJudgedError(f"no retained judgement is by v{old}")
    flipped = {weld: verdict for weld, verdict in verdicts.items() if verdict[0] != verdict[1]}
    return RecallReport(old, new, flipped, judged, gone)


class NothingJudgedError(WeldstreamError):
    """A recall finds no judgement of the version that it is to recall."""

    reason = "nothing_judged"
