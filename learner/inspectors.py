"""Whose labels are learned: decisions as they come, and an own one where somebody disagrees with everybody."""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from learner.agreement import AgreementWatch
from learner.labels import Label
from learner.telemetry import LearnerMetrics
from schemas.errors import BadRecordError
from schemas.inspectors import InspectorStanding, Standing
from schemas.topics import INSPECTORS
from stream.codec import decode_event
from stream.records import InRecord

_log = logging.getLogger(__name__)


class QuarantinedInspectorError(BadRecordError):
    """The label's inspector is quarantined."""

    reason = "inspector_quarantined"


class Standings:
    """The newest decision on each inspector."""

    def __init__(self) -> None:
        self._decisions: dict[str, InspectorStanding] = {}

    def take(self, record: InRecord) -> InspectorStanding:
        """Read a decision and let it count.

        Raises
        ------
        BadRecordError
            If it cannot be read.
        """
        decision = decode_event(record, INSPECTORS, InspectorStanding)
        self.decide(decision)
        return decision

    def decide(self, decision: InspectorStanding) -> None:
        """Let a decision count."""
        self._decisions[decision.inspector_id] = decision

    def of(self, inspector_id: str) -> Standing:
        """Return an inspector's standing."""
        decision = self._decisions.get(inspector_id)
        return Standing.TRUSTED if decision is None else decision.standing

    def revoked(self) -> frozenset[str]:
        """Return the inspectors whose labels must not be in any weights."""
        return frozenset(i for i, decision in self._decisions.items() if decision.standing is Standing.REVOKED)


class InspectorGuard:
    """Sets an inspector's labels aside, until a person decides, where they disagree as nobody else's do.

    Parameters
    ----------
    watch : AgreementWatch
        Finds them.
    standings : Standings
        Told at once.
    publish : callable
        Returns when the brokers have the decision.
    metrics, clock : LearnerMetrics, callable
        Counts; the time.
    """

    def __init__(
        self,
        watch: AgreementWatch,
        standings: Standings,
        publish: Callable[[InspectorStanding], Awaitable[None]],
        metrics: LearnerMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._watch = watch
        self._standings = standings
        self._publish = publish
        self._metrics = metrics
        self._clock = clock

    async def look_at(self, label: Label) -> None:
        """Take a label that came with a judgement."""
        assert label.served is not None
        sample, inspector = label.sample, label.inspector_id
        found = self._watch.add(inspector, sample.domain, sample.weld_id, label.served.foreground_dice)
        if found is None:
            return
        decision = InspectorStanding(
            inspector_id=inspector,
            standing=Standing.QUARANTINED,
            reason=(
                f"on {found.welds} welds of {sample.domain} the labels agree with what was served with a Dice of "
                f"{found.agreement:.2f}, those of the others with {found.others:.2f} (p = {found.p_value:.2g})"
            ),
            decided_by="learner",
            decided_at=self._clock(),
        )
        await self._publish(decision)
        self._standings.decide(decision)
        self._watch.forget(inspector)
        self._metrics.quarantines.inc()
        _log.warning("the labels of %s are set aside: %s", inspector, decision.reason)
