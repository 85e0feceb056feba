"""Judges what some versions judged with another one, weld by weld, and tells where the verdict flips."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

from aiokafka.structs import TopicPartition

from inference.loading import Versions
from inference.recall_plan import Limits, Plan, RecallReport
from inference.session import ModelSession
from inference.verification import Frames, StoredFrame, rejudge, thresholds_of
from schemas.errors import BadRecordError
from schemas.judgements import Judgement, RecordPosition
from schemas.recalls import WeldRecall
from schemas.settings import KafkaSettings
from schemas.topics import JUDGEMENTS
from stream.ledger import iterate_entries
from stream.reading import Span, bounds_of, partitions_of

_log = logging.getLogger(__name__)

CHUNK = 32
"""Frames of a weld that are judged again before what came of them is published."""
NAMED_FLIPS = 1000
"""Flipped frames that a record names; all of them are asked for."""


@dataclass(frozen=True, slots=True)
class Flip:
    """A frame that one of two versions flags.

    Attributes
    ----------
    frame : StoredFrame
        The frame.
    judgement : Judgement
        What was published of it.
    """

    frame: StoredFrame
    judgement: Judgement


Publish = Callable[[WeldRecall, Sequence[Flip]], Awaitable[None]]
Progress = Callable[[int, int], None]


class Recaller:
    """Judges again.

    Parameters
    ----------
    kafka : KafkaSettings
        Where judgements and frames are.
    versions : Versions
        Loads the version that judges now.
    clock : callable
        Returns the time, with a time zone.
    monotonic : callable
        Returns seconds.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        versions: Versions,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kafka = kafka
        self._versions = versions
        self._clock = clock
        self._monotonic = monotonic

    async def run(
        self,
        plan: Plan,
        limits: Limits,
        *,
        known: Mapping[str, WeldRecall],
        start: Mapping[TopicPartition, int] | None = None,
        publish: Publish | None = None,
        progress: Progress | None = None,
    ) -> RecallReport:
        """Judge what is there now, up to a limit.

        Parameters
        ----------
        plan, limits : Plan, Limits
            What, and how much of it.
        known : mapping of str to WeldRecall
            What was published of this recall: judgements up to there are not looked at again.
        start : mapping of TopicPartition to int, optional
            Judgements before these offsets were looked at, or need not be.
        publish : callable or None
            Awaited with what is known of a weld each time some of its frames
            were judged, and with those of them that flip.
        progress : callable or None
            Told how many judgements of how many were looked at.

        Raises
        ------
        WeldstreamError
            If the version cannot be loaded.
        """
        deadline = None if limits.seconds is None else self._monotonic() + limits.seconds
        report = RecallReport(plan, dict(known))
        partitions = await partitions_of(self._kafka, self._kafka.topic(JUDGEMENTS))
        _, report.scanned = await bounds_of(self._kafka, partitions)
        span = Span(start or {}, report.scanned)
        by_weld, report.complete = await self._gather(plan, limits.frames, known, span)
        if not by_weld:
            return report
        session = await asyncio.to_thread(self._versions.session, plan.again_by)
        done, total = 0, sum(map(len, by_weld.values()))
        async with Frames(self._kafka) as frames:
            for weld_id, own in by_weld.items():
                for begin in range(0, len(own), CHUNK):
                    if deadline is not None and self._monotonic() >= deadline:
                        report.complete = False
                        return report
                    chunk = own[begin : begin + CHUNK]
                    report.welds[weld_id], flips = await self._judge(
                        plan, report.welds.get(weld_id), chunk, frames, session
                    )
                    if publish is not None:
                        await publish(report.welds[weld_id], flips)
                    done += len(chunk)
                    if progress is not None:
                        progress(done, total)
        return report

    async def _gather(
        self, plan: Plan, most: int, known: Mapping[str, WeldRecall], span: Span
    ) -> tuple[dict[str, list["_Found"]], bool]:
        found: dict[str, list[_Found]] = {}
        count = 0
        async with aclosing(self._new_judgements(plan, known, span)) as judgements:
            async for judgement in judgements:
                if count == most:
                    return found, False
                found.setdefault(judgement.judgement.weld_id, []).append(judgement)
                count += 1
        return found, True

    async def _new_judgements(
        self, plan: Plan, known: Mapping[str, WeldRecall], span: Span
    ) -> AsyncGenerator["_Found"]:
        async with aclosing(iterate_entries(self._kafka, span=span)) as entries:
            async for entry, record in entries:
                if not plan.concerns(entry.judgement):
                    continue
                before = known.get(entry.judgement.weld_id)
                at = RecordPosition(topic=record.topic, partition=record.partition, offset=record.offset)
                if before is None or _is_after(at, before.upto):
                    yield _Found(entry.judgement, at)

    async def _judge(
        self, plan: Plan, before: WeldRecall | None, chunk: Sequence["_Found"], frames: Frames, session: ModelSession
    ) -> tuple[WeldRecall, list[Flip]]:
        judged = gone = 0
        was, now = (before.defective_before, before.defective_after) if before else (False, False)
        flips = []
        for found in chunk:
            frame = await self._frame(found.judgement, frames)
            if frame is None:
                gone += 1
                continue
            thresholds = thresholds_of(found.judgement)
            again = await asyncio.to_thread(rejudge, frame.decoded, session, thresholds)
            was, now = was or found.judgement.flagged, now or again.verdict.flagged
            judged += 1
            if again.verdict.flagged != found.judgement.flagged:
                flips.append(Flip(frame, found.judgement))
        names = (*(before.flipped if before else ()), *(flip.judgement.frame_id for flip in flips))
        recall = WeldRecall(
            recall_id=plan.recall_id,
            weld_id=chunk[0].judgement.weld_id,
            judged_by=plan.judged_by,
            judged_again_by=plan.again_by,
            defective_before=was,
            defective_after=now,
            frames=judged + (before.frames if before else 0),
            gone=gone + (before.gone if before else 0),
            flipped=names[:NAMED_FLIPS],
            upto=chunk[-1].at,
            recalled_at=self._clock(),
        )
        return recall, flips

    async def _frame(self, judgement: Judgement, frames: Frames) -> StoredFrame | None:
        try:
            frame = await frames.fetch(judgement.source)
        except BadRecordError as error:
            _log.warning("frame %s is not where it was judged: %s", judgement.frame_id, error)
            return None
        if frame is not None and frame.decoded.sha256 != judgement.pixels_sha256:
            _log.warning("frame %s is not the one that was judged", judgement.frame_id)
            return None
        return frame


@dataclass(frozen=True, slots=True)
class _Found:
    judgement: Judgement
    at: RecordPosition


def _is_after(at: RecordPosition, upto: RecordPosition) -> bool:
    # Judgements of a weld share a partition; another one can only hold what was never looked at.
    return (at.topic, at.partition) != (upto.topic, upto.partition) or at.offset > upto.offset
