"""Reads everything the services publish and keeps the run's books; answers review requests on the way."""

from collections.abc import Awaitable, Callable
from functools import partial

import numpy as np
from aiokafka.structs import RecordMetadata
from faststream.kafka import KafkaBroker

from schemas import DefectAlert, Judgement, LabelledFrame, ModelReleased, ReviewRequest
from schemas.settings import KafkaSettings
from schemas.topics import ALERTS, JUDGEMENTS, MODEL_RELEASES, REVIEW_REQUESTS
from stream.codec import FrameLimits, decode_raster
from stream.demo.inspector import OracleInspector
from stream.demo.ledger import Ledger

PublishLabel = Callable[[LabelledFrame], Awaitable[RecordMetadata]]


def subscribe(
    broker: KafkaBroker,
    kafka: KafkaSettings,
    ledger: Ledger,
    inspector: OracleInspector,
    publish_label: PublishLabel,
    *,
    shadow_topic: str,
) -> None:
    """Attach the demo's subscribers to a broker that is not started yet.

    Parameters
    ----------
    broker : KafkaBroker
        Where to read.
    kafka : KafkaSettings
        Names of the topics.
    ledger : Ledger
        Filled by what is read.
    inspector : OracleInspector
        Answers review requests.
    publish_label : callable
        Sends a label and returns where it lies.
    shadow_topic : str
        Topic of the frozen model's judgements.
    """
    limits = FrameLimits()

    def note(judgement: Judgement, role: str) -> None:
        ledger.judge(judgement, np.asarray(decode_raster(judgement.mask, limits), dtype=np.uint8), role)

    # What was taken back is not to be seen.
    subscribe = partial(broker.subscriber, auto_offset_reset="earliest", isolation_level="read_committed")

    @subscribe(kafka.topic(JUDGEMENTS))
    async def served(judgement: Judgement) -> None:
        note(judgement, "served")

    @subscribe(shadow_topic)
    async def frozen(judgement: Judgement) -> None:
        note(judgement, "frozen")

    @subscribe(kafka.topic(MODEL_RELEASES))
    async def released(announcement: ModelReleased) -> None:
        ledger.release(announcement)

    @subscribe(kafka.topic(ALERTS))
    async def alerted(alert: DefectAlert) -> None:
        ledger.alerts[alert.name] += 1

    @subscribe(kafka.topic(REVIEW_REQUESTS))
    async def requested(request: ReviewRequest) -> None:
        if request.request_id in ledger.requested:
            return
        ledger.requested.add(request.request_id)
        label = inspector.answer(request)
        if label is not None:
            position = await publish_label(label)
            ledger.answer(label, position.partition, position.offset)
