"""Verifies what was published of a weld."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from inference.loading import Versions
from inference.verification import Frames, differences
from schemas.errors import WeldstreamError
from schemas.settings import KafkaSettings, RegistrySettings
from stream.ledger import Entry, Finding, Mark, Passes, check_end, check_pass, read_passes
from stream.ledger.exported import read_exported


@dataclass(slots=True)
class PassReport:
    """One pass of a weld.

    Attributes
    ----------
    pass_id : str
        The frame with which it began.
    version : int or None
        The model that judged its first frame; None where nothing of it is left.
    judgements : int
        In the chain.
    findings : list of Finding
        What is wrong with the chain.
    begins : int
        The first judgement that was read; more than 0 where those before are no longer retained.
    in_progress : bool
        Whether the pass has not ended yet.
    same, gone : int
        Frames that gave the same again, and frames that are no longer retained.
    differing : dict of str to list of str
        Frames that did not, with what differs.
    """

    pass_id: str
    version: int | None
    judgements: int
    findings: list[Finding]
    begins: int = 0
    in_progress: bool = False
    same: int = 0
    gone: int = 0
    differing: dict[str, list[str]] = field(default_factory=dict)

    def lines(self, weld_id: str) -> Iterator[str]:
        """Yield the report for people."""
        state = "chain holds" if not self.findings else "chain broken"
        more = ", in progress" if self.in_progress else ""
        more += f", the first {self.begins} are no longer retained" if self.begins else ""
        by = "nobody" if self.version is None else f"v{self.version}"
        yield (
            f"{weld_id} from {self.pass_id}: {self.judgements} judgements by {by}, {state}{more}; "
            f"judged again: {self.same} the same, {len(self.differing)} differ, {self.gone} no longer retained"
        )
        for finding in self.findings:
            yield f"  {finding.problem}: {finding.text}"
        for frame_id, what in self.differing.items():
            yield f"  {frame_id}: {', '.join(what)}"


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
        for own in self.passes:
            yield from own.lines(self.weld_id)


async def verify_weld(
    kafka: KafkaSettings, registry: RegistrySettings, weld_id: str, cache: Path, *, rejudge: bool
) -> WeldReport:
    """Check the chains of a weld as Kafka holds them, and judge its frames again where they are still there.

    Raises
    ------
    WeldstreamError
        If the storage of the models does not answer.
    """
    return await verify_passes(kafka, registry, weld_id, await read_passes(kafka, weld_id), cache, rejudge=rejudge)


async def verify_exported(
    kafka: KafkaSettings, registry: RegistrySettings, weld_id: str, ledger: Path, cache: Path, *, rejudge: bool
) -> WeldReport:
    """Check the chains of a weld as an exported ledger holds them, and judge its frames again where Kafka has them.

    Raises
    ------
    WeldstreamError
        If the export cannot be read, or the storage of the models does not answer.
    """
    found = await asyncio.to_thread(read_exported, ledger, weld_id)
    report = await verify_passes(kafka, registry, weld_id, found.passes, cache, rejudge=rejudge)
    for own in report.passes:
        for entry in found.passes.entries.get((weld_id, own.pass_id), ()):
            columns = found.altered.get(entry.judgement.frame_id)
            if columns:
                text = f"the columns {', '.join(columns)} do not say what the record of {entry.judgement.frame_id} says"
                own.findings.append(Finding("changed", entry.judgement.chain.sequence, text))
    return report


async def verify_passes(
    kafka: KafkaSettings, registry: RegistrySettings, weld_id: str, found: Passes, cache: Path, *, rejudge: bool
) -> WeldReport:
    """Check the chains of a weld, wherever they were read, and judge its frames again where Kafka still has them.

    Raises
    ------
    WeldstreamError
        If the storage of the models does not answer.
    """
    reports = []
    versions = Versions.of(registry, cache)
    async with AsyncExitStack() as stack:
        frames = await stack.enter_async_context(Frames(kafka)) if rejudge else None
        for key in dict.fromkeys((*found.entries, *found.marks)):
            entries = found.entries.get(key, [])
            report = _report(key[1], entries, found.marks.get(key, ()), cut=found.cut)
            reports.append(report)
            if frames is not None:
                await _judge_again(report, entries, frames, versions)
    return WeldReport(weld_id, reports)


def _report(pass_id: str, entries: Sequence[Entry], marks: Sequence[Mark], *, cut: bool) -> PassReport:
    return PassReport(
        pass_id,
        entries[0].judgement.model.version if entries else None,
        len(entries),
        [*check_pass(entries, cut=cut), *check_end(entries, marks)],
        begins=entries[0].judgement.chain.sequence if entries and cut else 0,
        in_progress=bool(marks) and not any(mark.ended for mark in marks),
    )


async def _judge_again(report: PassReport, entries: Sequence[Entry], frames: Frames, versions: Versions) -> None:
    for entry in entries:
        judgement = entry.judgement
        try:
            frame = await frames.fetch(judgement.source)
            if frame is None:
                report.gone += 1
                continue
            session = await asyncio.to_thread(versions.session, judgement.model.version)
            found = await asyncio.to_thread(differences, judgement, frame.decoded, session)
        except WeldstreamError as error:
            if error.retriable:
                raise
            # What a judgement names is not there, or is something else: that too is a difference.
            found = [f"{error.reason}: {error}"]
        if found:
            report.differing[judgement.frame_id] = found
        else:
            report.same += 1
