"""Runs a scenario on the whole stack and keeps the books."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata
from numpy.typing import NDArray

from schemas import LabelledFrame
from schemas.settings import KafkaSettings
from schemas.topics import FRAMES, JUDGEMENTS, LABELS
from stream.broker import make_broker, make_producer, send
from stream.codec import encode_event, encode_frame
from stream.demo.inspector import OracleInspector
from stream.demo.ledger import Ledger, Published
from stream.demo.observer import subscribe
from stream.demo.report import EXAM_END, exam_start
from stream.demo.scenarios.base import Scenario, Shown
from stream.demo.services import SHADOW_SUFFIX
from stream.demo.settings import DemoSettings
from stream.demo.view import Snapshot, View

SOURCE = "/weldstream/demo"
RECENT_SECONDS = 5.0
RECENT_HELD_OUT = 12
VIEW_EVERY_SECONDS = 1.0


class StalledError(Exception):
    """The services stopped answering while the demo waited for them."""


def now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Run:
    """One run of a scenario.

    Parameters
    ----------
    scenario : Scenario
        What is shown.
    settings : DemoSettings
        For how long, and how fast.
    kafka : KafkaSettings
        The broker; topics exist.
    view : View
        Shows the run while it goes on.
    refused : callable
        Returns how many candidates were refused so far.
    """

    scenario: Scenario
    settings: DemoSettings
    kafka: KafkaSettings
    view: View
    refused: Callable[[], int]
    ledger: Ledger = field(init=False)
    phase: str = field(init=False, default="waiting")
    _began: float = field(init=False, default=0.0)
    _recent: deque[float] = field(init=False, default_factory=deque)

    def __post_init__(self) -> None:
        self.ledger = Ledger(classes=len(self.scenario.classes))

    async def stream(self) -> float:
        """Drift through all domains, hold the final exam and return the seconds it took.

        Raises
        ------
        StalledError
            If judgements stop coming.
        """
        async with self._connected() as producer:
            self._began = time.monotonic()
            showing = asyncio.create_task(self._show())
            try:
                for index, domain in enumerate(self.scenario.domains):
                    await self._domain(producer, index, domain)
                for index, domain in enumerate(self.scenario.domains):
                    self.phase = f"final exam: {domain}"
                    await self._send_all(producer, self.scenario.exam(index, EXAM_END))
                self.phase = "waiting for the last judgements"
                await self._all_judged()
            finally:
                showing.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await showing
            return time.monotonic() - self._began

    async def _domain(self, producer: AIOKafkaProducer, index: int, domain: str) -> None:
        ends = time.monotonic() + self.settings.seconds_per_domain
        self.ledger.begin_domain(domain, now())
        self.phase = f"exam: {domain}"
        await self._send_all(producer, self.scenario.exam(index, exam_start(domain)))
        self.phase = domain
        await self._paced(producer, self.scenario.stream(index), until=ends)

    async def _paced(self, producer: AIOKafkaProducer, traffic: Iterator[Shown], *, until: float) -> None:
        due = time.monotonic()
        while (present := time.monotonic()) < until:
            if present < due:
                await asyncio.sleep(due - present)
            await self._send(producer, await asyncio.to_thread(next, traffic))
            due = max(due + 1 / self.settings.frames_per_second, time.monotonic() - 1)

    async def _send_all(self, producer: AIOKafkaProducer, exam: Iterator[Shown]) -> None:
        """Send an exam no faster than it is judged, so that it does not hold up the stream behind it."""
        for shown in exam:
            while self.ledger.open() > self.settings.exam_in_flight:  # noqa: ASYNC110 - polled, not signalled
                await asyncio.sleep(0.02)
            await self._send(producer, shown)

    async def _send(self, producer: AIOKafkaProducer, shown: Shown) -> None:
        mask = shown.scan.mask
        if mask is None:
            msg = f"frame {shown.scan.frame.frame_id} has no mask to score against"
            raise ValueError(msg)
        frame = shown.scan.frame.model_copy(update={"time": now()})
        self.ledger.publish(
            frame.frame_id, Published(frame.domain, held_out=shown.held_out, exam=shown.exam, mask=mask)
        )
        record = encode_frame(frame, shown.scan.pixels, topic=self.kafka.topic(FRAMES), source=SOURCE)
        await send(producer, record)

    async def _all_judged(self) -> None:
        left, since = self.ledger.open(), time.monotonic()
        while left:
            await asyncio.sleep(0.1)
            if self.ledger.open() < left:
                left, since = self.ledger.open(), time.monotonic()
            elif time.monotonic() - since > self.settings.patience_seconds:
                raise StalledError(f"{left} judgements are missing after {self.settings.patience_seconds:g} s")

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[AIOKafkaProducer]:
        broker = make_broker(self.kafka, client_id="demo-observer")
        producer: Any = make_producer(self.kafka, client_id="demo-acquisition")

        async def publish_label(label: LabelledFrame) -> RecordMetadata:
            return await send_label(producer, self.kafka, label)

        inspector = OracleInspector(self.scenario.classes, self._truth, now)
        shadow = f"{self.kafka.topic(JUDGEMENTS)}{SHADOW_SUFFIX}"
        subscribe(broker, self.kafka, self.ledger, inspector, publish_label, shadow_topic=shadow)
        await producer.start()
        try:
            await broker.start()
            yield producer
        finally:
            await broker.stop()
            await producer.stop()

    def _truth(self, frame_id: str) -> NDArray[np.uint8] | None:
        sent = self.ledger.published.get(frame_id)
        return None if sent is None or sent.held_out else sent.mask

    async def _show(self) -> None:
        with self.view:
            while True:
                self.view.show(await asyncio.to_thread(self._snapshot))
                await asyncio.sleep(VIEW_EVERY_SECONDS)

    def _snapshot(self) -> Snapshot:
        ledger = self.ledger
        elapsed = time.monotonic() - self._began
        recent = [s for at, s in ledger.latencies[-200:] if (now() - at).total_seconds() <= RECENT_SECONDS]
        latest = max(ledger.first_judged, default=0)
        return Snapshot(
            elapsed_seconds=elapsed,
            total_seconds=self.settings.seconds_per_domain * len(self.scenario.domains),
            phase=self.phase,
            frames_per_second=len(recent) / RECENT_SECONDS,
            latency_ms=float(np.median(recent)) * 1000 if recent else None,
            version=latest,
            swaps=max(len(ledger.first_judged) - 1, 0),
            refused=self.refused(),
            labels=len(ledger.answered),
            alerts=ledger.alerts.total(),
            dice={
                d: (ledger.recent(d, "frozen", RECENT_HELD_OUT), ledger.recent(d, "served", RECENT_HELD_OUT))
                for d in ledger.domains
            },
        )


async def send_label(producer: AIOKafkaProducer, kafka: KafkaSettings, label: LabelledFrame) -> RecordMetadata:
    """Send a label and return where it lies in the labels topic."""
    record = encode_event(
        kafka.topic(LABELS), LABELS, label, key=label.frame.weld_id, event_id=label.label_id, source=SOURCE, time=now()
    )
    position: RecordMetadata = await (await send(producer, record))
    return position
