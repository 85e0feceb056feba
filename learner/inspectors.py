"""Whose labels are learned: decisions as they come, and own ones where somebody stands against everybody."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from learner.agreement import AgreementWatch
from learner.conflict import ConflictWatch
from learner.gradient_probe import GradientProbe
from learner.labels import Label
from learner.settings import InspectorSettings
from learner.telemetry import LearnerMetrics
from schemas.errors import BadRecordError
from schemas.inspectors import InspectorStanding, Standing
from stream.inspectors import decode_standing
from stream.records import InRecord

_log = logging.getLogger(__name__)


class QuarantinedInspectorError(BadRecordError):
    """The label's inspector is quarantined."""

    reason = "inspector_quarantined"


class Standings:
    """The newest decision on each inspector."""

    def __init__(self) -> None:
        self._decisions: dict[str, InspectorStanding] = {}

    def take(self, record: InRecord, metrics: LearnerMetrics) -> InspectorStanding | None:
        """Read a decision and let it count; one that cannot be read is counted, told, and None."""
        try:
            decision = decode_standing(record)
        except BadRecordError as error:
            _log.error("a decision on an inspector cannot be read, and does not count: %s", error)
            metrics.dead_letters.labels(error.reason).inc()
            return None
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
    """Sets an inspector's labels aside, until a person decides, where they are not as everybody else's.

    Parameters
    ----------
    settings : InspectorSettings
        When labels are too different.
    probe : GradientProbe
        Measures labels before they are learned.
    standings : Standings
        Told at once.
    publish : callable
        Returns when the brokers have the decision.
    metrics, clock : LearnerMetrics, callable
        Counts; the time.
    """

    def __init__(
        self,
        settings: InspectorSettings,
        probe: GradientProbe,
        *,
        standings: Standings,
        publish: Callable[[InspectorStanding], Awaitable[None]],
        metrics: LearnerMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._agreement = AgreementWatch(settings)
        self._conflict = ConflictWatch(settings)
        self._probe = probe
        self._standings = standings
        self._publish = publish
        self._metrics = metrics
        self._clock = clock

    async def look_at(self, label: Label) -> None:
        """Take a label that came with a judgement, and compare it with what was served."""
        assert label.served is not None
        sample = label.sample
        found = self._agreement.add(
            label.inspector_id, sample.domain, sample.weld_id, sample.label_id, label.served.foreground_dice
        )
        if found is not None:
            await self._set_aside(
                label.inspector_id,
                f"on {found.welds} welds of {sample.domain} the labels agree with what was served with a Dice of "
                f"{found.agreement:.2f}, those of the others with {found.others:.2f} (p = {found.p_value:.2g})",
            )

    async def look_closer(self, group: Sequence[Label], domains: Sequence[str]) -> None:
        """Take labels of one domain that are about to be learned, and compare them with what the others teach."""
        for label, cosine in await self._probe.measure(group, domains):
            sample = label.sample
            found = self._conflict.add(label.inspector_id, sample.domain, sample.weld_id, sample.label_id, cosine)
            if found is not None and self._standings.of(label.inspector_id) is Standing.TRUSTED:
                await self._set_aside(
                    label.inspector_id,
                    f"the gradients of the labels oppose those of the others' on {found.opposed} of {found.welds} "
                    f"welds of {sample.domain}, those of the others on {found.others_opposed} of "
                    f"{found.others_welds} (p = {found.p_value:.2g})",
                )

    def state(self) -> dict[str, Any]:
        """Return what is known of the inspectors, for a checkpoint."""
        return {
            "agreement": self._agreement.state(),
            "conflict": self._conflict.state(),
            "measured": self._probe.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state` returned."""
        self._agreement.restore(state["agreement"])
        self._conflict.restore(state["conflict"])
        self._probe.restore(state["measured"])

    async def _set_aside(self, inspector_id: str, reason: str) -> None:
        decision = InspectorStanding(
            inspector_id=inspector_id,
            standing=Standing.QUARANTINED,
            reason=reason,
            decided_by="learner",
            decided_at=self._clock(),
        )
        await self._publish(decision)
        self._standings.decide(decision)
        self._agreement.forget(inspector_id)
        self._conflict.forget(inspector_id)
        self._metrics.quarantines.inc()
        _log.warning("the labels of %s are set aside: %s", inspector_id, reason)
