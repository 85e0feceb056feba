"""Publishes what a recall found, and the review requests for it, in one transaction; reads what was published."""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Self

from aiokafka.errors import KafkaError, ProducerFenced

from inference.outputs import fitting
from inference.recall import Flip
from schemas.errors import OversizeError, WeldstreamError
from schemas.labels import ReviewReason, ReviewRequest
from schemas.recalls import WeldRecall
from schemas.settings import KafkaSettings
from schemas.topics import RECALLS, REVIEW_REQUESTS
from stream.broker import make_producer, send
from stream.codec import decode_event, encode_event, raster_from_frame
from stream.crash_points import CrashPoints
from stream.dead_letters import dead_letter
from stream.reading import Span, bounds_of, partitions_of, read_to_end
from stream.records import OutRecord

SOURCE = "/weldstream/recall"
_STOP_SECONDS = 5.0


class RecalledElsewhereError(WeldstreamError):
    """Another process took the recall over; it goes on where this one stopped."""

    retriable = True
    reason = "recalled_elsewhere"


class RecallLog:
    """Where recalls are published, by one process at a time. Use as an async context manager.

    Entering fences whoever published under the same name before and ends what
    it left open: what is read then is all that will ever come of it.

    Parameters
    ----------
    kafka : KafkaSettings
        Where.
    group : str
        Whose name the transactional id begins with, as its right in Kafka does.
    task : str
        What the id ends with: of two with one id, the later fences the earlier.
    clock : callable
        Returns the time, with a time zone.
    requests : bool
        Whether review requests are raised.
    crash : CrashPoints or None
        Place: sent, with the transaction still open.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        group: str,
        task: str,
        clock: Callable[[], datetime],
        *,
        requests: bool,
        crash: CrashPoints | None = None,
    ) -> None:
        self._kafka = kafka
        self._name = f"{group}.{task}"
        self._clock = clock
        self._requests = requests
        self._crash = crash or CrashPoints()
        self._producer: Any = None

    async def __aenter__(self) -> Self:
        """Connect, and fence."""
        self._producer = make_producer(self._kafka, client_id="weldstream-recall", transactional_id=self._name)
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        # One that was fenced or cut off has nothing left that may arrive.
        with contextlib.suppress(TimeoutError, KafkaError):
            async with asyncio.timeout(_STOP_SECONDS):
                await self._producer.stop()

    async def read(self, recall_id: str) -> dict[str, WeldRecall]:
        """Return the newest record of each weld of a recall.

        Raises
        ------
        BadRecordError
            If a stranger wrote to the topic.
        """
        found: dict[str, WeldRecall] = {}
        partitions = await partitions_of(self._kafka, self._kafka.topic(RECALLS))
        _, ends = await bounds_of(self._kafka, partitions)
        async with aclosing(read_to_end(self._kafka, partitions, span=Span({}, ends))) as records:
            async for record in records:
                recall = decode_event(record, RECALLS, WeldRecall)
                if recall.recall_id == recall_id:
                    found[recall.weld_id] = recall
        return found

    async def publish(self, recall: WeldRecall, flips: Sequence[Flip]) -> None:
        """Publish what is known of a weld together with the requests for the frames that flip.

        Raises
        ------
        RecalledElsewhereError
            If another process publishes under this name now.
        KafkaError
            If the brokers do not take it; read anew what was published.
        """
        requests = [self._request(recall, flip) for flip in flips] if self._requests else []
        records = [*requests, self._record(recall)]
        try:
            await self._producer.begin_transaction()
            for delivery in [await send(self._producer, record) for record in records]:
                await delivery
            self._crash.reach("sent")
            await self._producer.commit_transaction()
        except ProducerFenced as error:
            raise RecalledElsewhereError("another process goes on with the recall") from error
        except AssertionError as error:
            # The client guards its own states with assertions: the end of the transaction is not known.
            raise KafkaError(f"a transaction failed: {error!r}") from error

    def _record(self, recall: WeldRecall) -> OutRecord:
        return encode_event(
            self._kafka.topic(RECALLS),
            RECALLS,
            recall,
            key=recall.weld_id,
            event_id=_id(recall.recall_id, recall.weld_id, recall.upto.offset),
            source=SOURCE,
            time=recall.recalled_at,
        )

    def _request(self, recall: WeldRecall, flip: Flip) -> OutRecord:
        """Return the request for a frame; one that no record can hold becomes a dead letter."""
        judgement = flip.judgement
        # Built without validation: all parts are valid models, and the pixels would be encoded only to be decoded.
        request = ReviewRequest.model_construct(
            request_id=request_id(judgement.model.version, recall.judged_again_by, judgement.frame_id),
            requested_at=self._clock(),
            reasons=(ReviewReason.RECALL,),
            frame=flip.frame.decoded.frame,
            pixels=raster_from_frame(flip.frame.record, flip.frame.decoded),
            judgement=judgement,
        )
        record = encode_event(
            self._kafka.topic(REVIEW_REQUESTS),
            REVIEW_REQUESTS,
            request,
            key=judgement.weld_id,
            event_id=request.request_id,
            source=SOURCE,
            time=request.requested_at,
        )
        try:
            return fitting(record, REVIEW_REQUESTS)
        except OversizeError as error:
            return dead_letter(flip.frame.record, error, 1, self._kafka, clock=self._clock)


def request_id(old: int, new: int, frame_id: str) -> str:
    """Return the id of the request for a frame that two versions see differently, whoever recalls it."""
    return _id(f"recall-v{old}-v{new}", frame_id)


def _id(prefix: str, *parts: object) -> str:
    text = "\x1f".join(map(str, parts))
    return f"{prefix}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
