"""Judges retained frames again and tells whether the same comes out."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from aiokafka.structs import TopicPartition
from pydantic import ValidationError

from inference.session import ModelSession
from inference.settings import FlaggingSettings
from inference.verdict import Verdict, conclude
from schemas.errors import BadRecordError
from schemas.judgements import Judgement, RecordPosition
from schemas.settings import KafkaSettings
from schemas.topics import MIB
from stream.broker import make_consumer
from stream.clients import Consumer
from stream.codec import DecodedFrame, FrameLimits, decode_frame, decode_raster
from stream.preprocessing import VERSION, pad_to_multiple, prepare
from stream.records import InRecord

_POLL_MS = 200
_LIMITS = FrameLimits(max_bytes=16 * MIB, max_pixels=64 * MIB)
"""Whatever was judged is read again, whatever the limits were that it was judged under."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredFrame:
    """A frame that is still retained.

    Attributes
    ----------
    record : InRecord
        As it lies in its topic.
    decoded : DecodedFrame
        What it says.
    """

    record: InRecord
    decoded: DecodedFrame


class Frames:
    """Fetches single frames from where their judgements say that they lie. Use as an async context manager.

    Connects with the first frame that is asked for.

    Parameters
    ----------
    kafka : KafkaSettings
        Where.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._partition: TopicPartition | None = None
        self._end = 0
        self._consumer: Consumer | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._consumer is not None:
            await self._consumer.stop()

    async def fetch(self, source: RecordPosition) -> StoredFrame | None:
        """Return a frame, None if it is no longer retained.

        Raises
        ------
        BadRecordError
            If what lies there is no frame.
        """
        consumer = await self._connected()
        partition = TopicPartition(source.topic, source.partition)
        if partition != self._partition or source.offset >= self._end:
            consumer.assign([partition])
            self._end = (await consumer.end_offsets([partition]))[partition]
            self._partition = partition
        if source.offset >= self._end:
            return None
        consumer.seek(partition, source.offset)
        while await consumer.position(partition) < self._end:
            records = (await consumer.getmany(timeout_ms=_POLL_MS, max_records=1)).get(partition, ())
            for record in records:
                if record.offset != source.offset:
                    return None
                return StoredFrame(record, decode_frame(record, _LIMITS))
        return None

    async def _connected(self) -> Consumer:
        if self._consumer is None:
            consumer: Consumer = make_consumer(self._kafka, client_id="weldstream-verify")
            await consumer.start()
            self._consumer = consumer
        return self._consumer


@dataclass(frozen=True, slots=True, eq=False)
class Rejudged:
    """What a version makes of a frame now.

    Attributes
    ----------
    mask : (H, W) uint8
        Classes.
    verdict : Verdict
        What is concluded of it.
    """

    mask: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
    verdict: Verdict


def rejudge(frame: DecodedFrame, session: ModelSession, thresholds: FlaggingSettings) -> Rejudged:
    """Judge a frame as the service does, by itself in a model run. Blocking."""
    images, (rows, columns) = pad_to_multiple(prepare(frame.pixels)[None], session.version.size_multiple)
    outputs = session.run(images)
    mask = outputs.mask[0, :rows, :columns]
    own = mask, outputs.confidence[0, :rows, :columns], outputs.entropy[0, :rows, :columns]
    return Rejudged(mask, conclude(frame.frame, own, session.version.classes, thresholds))


def thresholds_of(judgement: Judgement) -> FlaggingSettings:
    """Return the settings that a judgement was read with."""
    return FlaggingSettings.model_validate(judgement.thresholds)


def _is_mask(judgement: Judgement, again: Rejudged) -> bool:
    try:
        return np.array_equal(again.mask, decode_raster(judgement.mask, _LIMITS))
    except BadRecordError:
        return False


def differences(judgement: Judgement, frame: DecodedFrame, session: ModelSession) -> list[str]:
    """Judge a frame again with the version that judged it, and name what differs from what was published.

    Bit for bit: on the same kind of processor, with the same onnxruntime, and
    frames that were judged alone (``serving.max_run`` 1) nothing differs.
    """
    if frame.sha256 != judgement.pixels_sha256:
        return ["pixels_sha256"]
    if judgement.model.digest != session.version.model.digest:
        return ["model.digest"]
    if judgement.preprocessing != VERSION:
        return ["preprocessing"]
    said = (judgement.frame_id, judgement.weld_id, judgement.position_mm, judgement.frame_time, judgement.domain)
    own = frame.frame
    found = []
    if said != (own.frame_id, own.weld_id, own.position_mm, own.time, own.domain):
        found.append("frame")
    if judgement.classes != session.version.classes.codes:
        found.append("classes")
    try:
        again = rejudge(frame, session, thresholds_of(judgement))
    except ValidationError:
        return [*found, "thresholds"]
    verdict = again.verdict
    same = {
        "mask": _is_mask(judgement, again),
        "indications": verdict.indications == judgement.indications,
        "uncertainty": verdict.uncertainty == judgement.uncertainty,
        "flagged": verdict.flagged == judgement.flagged,
    }
    return [*found, *(name for name, holds in same.items() if not holds)]
