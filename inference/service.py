"""From records to what is published about them. Knows no broker."""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from inference.alerts import AlertRule
from inference.jobs import Computed, FrameJob, JudgingFailedError, Outcome, Rejected
from inference.metrics import InferenceMetrics
from inference.outputs import Outputs
from inference.settings import FlaggingSettings
from inference.slot import Serving
from inference.verdict import conclude
from inference.welds import OpenWeld, WeldBook
from schemas.classes import ClassTable
from schemas.errors import BadRecordError, OversizeError
from schemas.judgements import Judgement, RecordPosition
from schemas.labels import ReviewReason
from stream.codec import FrameLimits, decode_frame, encode_raster
from stream.preprocessing import VERSION, prepare
from stream.records import InRecord, OutRecord

_log = logging.getLogger(__name__)


class InferenceService:
    """Turns frames into judgements, alerts and review requests.

    Parameters
    ----------
    classes : ClassTable
        What mask values mean.
    limits : FrameLimits
        What a frame may cost.
    flagging_settings : FlaggingSettings
        Thresholds of the review.
    alert_rule : AlertRule
        Decides on alerts.
    outputs : Outputs
        Turns results into records.
    metrics : InferenceMetrics
        Counts them.
    clock : callable
        Returns the time, with a time zone.
    """

    def __init__(
        self,
        *,
        classes: ClassTable,
        limits: FrameLimits,
        flagging_settings: FlaggingSettings,
        alert_rule: AlertRule,
        outputs: Outputs,
        metrics: InferenceMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._classes = classes
        self._limits = limits
        self._flagging = flagging_settings
        self._thresholds = {name: float(value) for name, value in flagging_settings.model_dump().items()}
        self._alert_rule = alert_rule
        self._outputs = outputs
        self._metrics = metrics
        self._clock = clock
        self._last: Serving | None = None

    def read(self, record: InRecord) -> FrameJob | Rejected:
        """Decode and prepare a frame; thread-safe."""
        try:
            decoded = decode_frame(record, self._limits)
            return FrameJob(record, decoded, prepare(decoded.pixels))
        except BadRecordError as error:
            return Rejected(record, error)
        except Exception as error:  # noqa: BLE001 - see below
            # A hole in the decoder must cost one record, never the stream.
            _log.exception("a frame broke the decoder: %s[%d]@%d", record.topic, record.partition, record.offset)
            failure = JudgingFailedError(f"the frame cannot be prepared: {error}")
            failure.__cause__ = error
            return Rejected(record, failure)

    def conclude(
        self, outcomes: Sequence[Outcome], welds: Mapping[tuple[int, str], OpenWeld]
    ) -> dict[int, list[OutRecord]]:
        """Return all that is published of a batch, by partition; called for one batch at a time, in order.

        Parameters
        ----------
        outcomes : sequence of Outcome
            In the order of the records.
        welds : mapping of (int, str) to OpenWeld
            Welds of the frames, by partition and id; brought up to date.
        """
        records: dict[int, list[OutRecord]] = defaultdict(list)
        for outcome in outcomes:
            if isinstance(outcome, Rejected):
                records[outcome.record.partition].append(self._reject(outcome))
                continue
            partition = outcome.job.record.partition
            try:
                records[partition].extend(self._judge(outcome, welds[outcome.job.weld]))
            except OversizeError as error:
                records[partition].append(self._reject(Rejected(outcome.job.record, error)))
            except Exception as error:  # noqa: BLE001 - a poison frame must not stop the stream
                _log.exception("a frame cannot be concluded")
                failure = JudgingFailedError(f"the result of the model cannot be read: {error}")
                failure.__cause__ = error
                records[partition].append(self._reject(Rejected(outcome.job.record, failure)))
        for (partition, _), weld in welds.items():
            records[partition].append(self._outputs.weld_state(weld.state(), partition))
        return records

    def ended(self, book: WeldBook, partition: int) -> list[OutRecord]:
        """Return the ends of the passes that ended since the last call, and what removes their states."""
        return [record for weld in book.take_closed() for record in self._outputs.weld_ended(weld, partition)]

    def _reject(self, rejected: Rejected) -> OutRecord:
        self._metrics.frames.labels("dead_letter").inc()
        self._metrics.dead_letters.labels(rejected.error.reason).inc()
        return self._outputs.dead_letter(rejected.record, rejected.error)

    def _judge(self, computed: Computed, weld: OpenWeld) -> list[OutRecord]:
        judgement, reasons = self._read_result(computed, weld)
        record = self._outputs.judgement(judgement)
        assert record.value is not None
        weld.add(hashlib.sha256(record.value).hexdigest())
        records = [record]
        if self._outputs.speaks:
            alerts = self._alert_rule.observe(judgement, weld.stretches)
            records.extend(self._outputs.alert(alert) for alert in alerts)
            for alert in alerts:
                self._metrics.alerts.labels(alert.name).inc()
            if reasons:
                records.append(self._request(computed, judgement, reasons))
                for reason in reasons:
                    self._metrics.flagged.labels(reason.value).inc()
        self._count(computed, judgement)
        return records

    def _request(self, computed: Computed, judgement: Judgement, reasons: tuple[ReviewReason, ...]) -> OutRecord:
        """Return the request for a review; one that no record can hold becomes a dead letter beside the judgement."""
        try:
            return self._outputs.review_request(computed.job, judgement, reasons)
        except OversizeError as error:
            self._metrics.dead_letters.labels(error.reason).inc()
            return self._outputs.dead_letter(computed.job.record, error)

    def _read_result(self, computed: Computed, weld: OpenWeld) -> tuple[Judgement, tuple[ReviewReason, ...]]:
        record, frame = computed.job.record, computed.job.decoded.frame
        outputs = computed.mask, computed.confidence, computed.entropy
        verdict = conclude(frame, outputs, self._classes, self._flagging)
        judged_at = self._clock()
        published_at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
        judgement = Judgement(
            frame_id=frame.frame_id,
            weld_id=frame.weld_id,
            position_mm=frame.position_mm,
            frame_time=frame.time,
            domain=frame.domain,
            source=RecordPosition(topic=record.topic, partition=record.partition, offset=record.offset),
            pixels_sha256=computed.job.decoded.sha256,
            model=computed.serving.version.model,
            preprocessing=VERSION,
            thresholds=self._thresholds,
            chain=weld.link(),
            judged_at=judged_at,
            mask=encode_raster(computed.mask),
            classes=self._classes.codes,
            indications=verdict.indications,
            uncertainty=verdict.uncertainty,
            flagged=verdict.flagged,
            latency_seconds=(judged_at - published_at).total_seconds(),
            compute_seconds=computed.seconds,
        )
        return judgement, verdict.reasons

    def _count(self, computed: Computed, judgement: Judgement) -> None:
        metrics, serving = self._metrics, computed.serving
        metrics.frames.labels("judged").inc()
        metrics.latency.observe(judgement.latency_seconds)
        metrics.compute.observe(judgement.compute_seconds)
        metrics.uncertainty.observe(judgement.uncertainty)
        if serving is not self._last:
            # The first model of a process may have been announced long ago: that is no swap.
            if self._last is not None and serving.announced_at is not None:
                metrics.swap_seconds.observe((judgement.judged_at - serving.announced_at).total_seconds())
            self._last = serving
