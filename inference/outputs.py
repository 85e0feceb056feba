"""Results as records: which topic, which key, which id."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from inference.jobs import FrameJob
from inference.welds import OpenWeld
from schemas.errors import OversizeError, WeldstreamError
from schemas.events import DefectAlert
from schemas.judgements import Judgement
from schemas.labels import ReviewReason, ReviewRequest
from schemas.settings import KafkaSettings
from schemas.topics import ALERTS, JUDGEMENTS, REVIEW_REQUESTS, WELD_PASSES, WELD_STATES, Topic
from schemas.welds import WeldState
from stream.codec import encode_event, raster_from_frame
from stream.dead_letters import dead_letter
from stream.records import InRecord, OutRecord

SOURCE = "/weldstream/inference"
_FRAMING = 1024
"""Bytes that Kafka adds to a record, generously."""


class Outputs:
    """Turns results into records; ids are derived from the frame, so a repetition has the same ones.

    Parameters
    ----------
    kafka : KafkaSettings
        Names the topics.
    suffix : str
        Put after the name of the judgements topic.
    speaks : bool
        Whether alerts and review requests are sent at all; a shadow only judges.
    clock : callable
        Returns the time, with a time zone.
    """

    def __init__(self, kafka: KafkaSettings, suffix: str, speaks: bool, clock: Callable[[], datetime]) -> None:
        self.speaks = speaks
        self._kafka = kafka
        self._judgements = kafka.topic(JUDGEMENTS) + suffix
        self.weld_states = kafka.topic(WELD_STATES) + suffix
        self._weld_passes = kafka.topic(WELD_PASSES) + suffix
        self._alerts = kafka.topic(ALERTS)
        self._requests = kafka.topic(REVIEW_REQUESTS)
        self._clock = clock

    def judgement(self, judgement: Judgement) -> OutRecord:
        """Return the answer to a frame; its id is the frame's.

        Raises
        ------
        OversizeError
            If the judgement does not fit its topic.
        """
        record = encode_event(
            self._judgements,
            JUDGEMENTS,
            judgement,
            key=judgement.weld_id,
            event_id=judgement.frame_id,
            source=SOURCE,
            time=judgement.judged_at,
        )
        return fitting(record, JUDGEMENTS)

    def weld_state(self, state: WeldState, partition: int) -> OutRecord:
        """Return where a weld in progress stands."""
        record = encode_event(
            self.weld_states,
            WELD_STATES,
            state,
            key=state.weld_id,
            event_id=f"{state.pass_id}-{state.judged}",
            source=SOURCE,
            time=self._clock(),
        )
        return replace(record, partition=partition)

    def weld_ended(self, weld: OpenWeld, partition: int) -> list[OutRecord]:
        """Return the end of a pass, which outlives its state, and the tombstone of that."""
        tombstone = OutRecord(self.weld_states, weld.weld_id.encode(), None, partition=partition)
        end = weld.end(self._clock())
        if end is None:
            return [tombstone]
        record = encode_event(
            self._weld_passes,
            WELD_PASSES,
            end,
            key=end.weld_id,
            event_id=f"{end.pass_id}-{end.judged}",
            source=SOURCE,
            time=end.ended_at,
        )
        return [replace(record, partition=partition), tombstone]

    def alert(self, alert: DefectAlert) -> OutRecord:
        """Return an alert."""
        return encode_event(
            self._alerts,
            ALERTS,
            alert,
            key=alert.weld_id,
            event_id=alert.alert_id,
            source=SOURCE,
            time=alert.raised_at,
        )

    def review_request(self, job: FrameJob, judgement: Judgement, reasons: tuple[ReviewReason, ...]) -> OutRecord:
        """Return the request to label a frame, with its payload as it arrived.

        Raises
        ------
        OversizeError
            If frame and judgement together do not fit the topic.
        """
        # Built without validation: all parts are valid models, and the pixels would be encoded only to be decoded.
        request = ReviewRequest.model_construct(
            request_id=judgement.frame_id,
            requested_at=judgement.judged_at,
            reasons=reasons,
            frame=job.decoded.frame,
            pixels=raster_from_frame(job.record, job.decoded),
            judgement=judgement,
        )
        record = encode_event(
            self._requests,
            REVIEW_REQUESTS,
            request,
            key=judgement.weld_id,
            event_id=request.request_id,
            source=SOURCE,
            time=request.requested_at,
        )
        return fitting(record, REVIEW_REQUESTS)

    def dead_letter(self, record: InRecord, error: WeldstreamError) -> OutRecord:
        """Return a record that cannot be processed, byte for byte, with the reason."""
        return dead_letter(record, error, 1, self._kafka, clock=self._clock)


def fitting(record: OutRecord, topic: Topic) -> OutRecord:
    """Return a record that its topic takes, however badly it compresses.

    Raises
    ------
    OversizeError
        If it does not.
    """
    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
    size = len(record.key or b"") + len(record.value or b"") + headers + _FRAMING
    if size > topic.max_message_bytes:
        raise OversizeError(
            f"what is to be said of the frame takes {size} bytes, {topic.name} takes records of "
            f"{topic.max_message_bytes} at most"
        )
    return record
