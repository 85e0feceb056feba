"""Which roll-backs still have judgements to be judged again, and what is done about one."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aiokafka.structs import TopicPartition

from inference.recall import Flip, Recaller
from inference.recall_log import RecallLog
from inference.recall_metrics import RecallMetrics
from inference.recall_plan import Limits, Plan, RecallReport
from inference.recall_settings import RecallSettings
from memory.history import taken_back
from memory.registry import ModelRegistry
from schemas.errors import WeldstreamError
from schemas.events import ModelReleased, ReleaseKind
from schemas.recalls import WeldRecall
from schemas.settings import KafkaSettings
from schemas.topics import RECALLS
from stream.crash_points import CrashPoints
from stream.ledger import read_states

_log = logging.getLogger(__name__)


def plan_of(releases: Sequence[ModelReleased], rollback: ModelReleased) -> Plan | None:
    """Return what is to be judged again after a roll-back; None where it took nothing back.

    A version that is announced anew later on is trusted from then on.
    """
    versions = taken_back(releases, rollback.sequence)
    if not versions:
        return None
    again = (r for r in releases if r.sequence > rollback.sequence and r.version.model.version in versions)
    anew = next(again, None)
    return Plan(
        recall_id=f"{rollback.version.model.name}-{rollback.sequence}",
        model_name=rollback.version.model.name,
        judged_by=versions,
        again_by=rollback.version.model.version,
        until=None if anew is None else anew.announced_at,
    )


@dataclass(slots=True)
class Rollbacks:
    """The roll-backs of a model, as the registry has them: it forgets none, however long nobody looked.

    Parameters
    ----------
    kafka, settings : KafkaSettings, RecallSettings
        Where, and how.
    registry : ModelRegistry
        What was announced.
    recaller : Recaller
        Judges again.
    metrics : RecallMetrics
        Counts.
    crash : CrashPoints
        Places: judged_again, recalled; the log has one of its own, sent.
    clock : callable
        Returns the time, with a time zone.
    """

    kafka: KafkaSettings
    settings: RecallSettings
    registry: ModelRegistry
    recaller: Recaller
    metrics: RecallMetrics
    crash: CrashPoints
    clock: Callable[[], datetime]
    _settled: set[int] = field(default_factory=set)
    _scanned: dict[str, dict[TopicPartition, int]] = field(default_factory=dict)

    async def catch_up(self, log: RecallLog) -> bool:
        """Judge again what there is by now; tell whether more may come by itself.

        Raises
        ------
        KafkaError, RecalledElsewhereError
            If nothing can be published; what was published is known the next time.
        """
        releases = await asyncio.to_thread(self.registry.releases)
        oldest = self.clock() - timedelta(milliseconds=RECALLS.retention_ms)
        due = [
            release
            for release in releases
            if release.kind is ReleaseKind.ROLLBACK
            and release.sequence not in self._settled
            and release.announced_at > oldest
        ]
        self.metrics.open.set(len(due))
        for rollback in due:
            plan = plan_of(releases, rollback)
            if plan is None or await self._settles(log, plan, rollback):
                self._settled.add(rollback.sequence)
        left = [release for release in due if release.sequence not in self._settled]
        self.metrics.open.set(len(left))
        return bool(left)

    async def _settles(self, log: RecallLog, plan: Plan, rollback: ModelReleased) -> bool:
        """Judge again what one roll-back took back; tell whether no more can come of it."""
        fresh = self.clock() - rollback.announced_at < timedelta(seconds=self.settings.settle_seconds)
        try:
            # Before the judgements: what is in progress now may still grow after they were read.
            states = await read_states(self.kafka)
            report = await self._round(log, plan)
        except WeldstreamError as error:
            if error.retriable:
                raise
            # Another roll-back may still be followed; this one is tried again after a restart.
            self.metrics.failures.labels(error.reason).inc()
            _log.error("recall %s fails: %s", plan.recall_id, error)
            return True
        if not report.complete:
            return False
        self._scanned[plan.recall_id] = report.scanned
        in_progress = any(state.model_version in plan.judged_by for state in states)
        return plan.until is not None or not (fresh or in_progress)

    async def _round(self, log: RecallLog, plan: Plan) -> RecallReport:
        known = await log.read(plan.recall_id)

        async def publish(recall: WeldRecall, flips: Sequence[Flip]) -> None:
            self.crash.reach("judged_again")
            await log.publish(recall, flips)
            self.crash.reach("recalled")
            self.metrics.published.inc()
            self.metrics.flipped.inc(len(flips))

        limits = Limits(frames=self.settings.max_frames)
        start = self._scanned.get(plan.recall_id)
        report = await self.recaller.run(plan, limits, known=known, start=start, publish=publish)
        if report.welds != known:
            for line in report.lines():
                _log.info("recall %s: %s", plan.recall_id, line)
        return report
