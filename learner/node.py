"""One learner process: it stands by until it leads, and leads until it is told to stop."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, aclosing
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import numpy as np
from aiokafka import AIOKafkaProducer
from prometheus_client import CollectorRegistry

from learner.assembly import Outside, Storage, assemble, make_reader
from learner.beginning import find_revoked
from learner.books import Books
from learner.extras import StoredLogits, make_extras
from learner.hidden_changes import HiddenChanges
from learner.holdout import HoldoutRule
from learner.inspectors import Standings
from learner.leadership import Leadership, LeadershipLostError, leader_key
from learner.patience import Patient
from learner.rebuild import rebuild_memory
from learner.releaser import SOURCE, announcement
from learner.service import StartOverError
from learner.settings import LearnerSettings
from learner.stores import open_memories
from learner.telemetry import LearnerMetrics
from learner.term import LabelSource, Term
from memory.files import written_aside
from memory.registry import FencedError, open_registry
from memory.stores.redis import open_redis
from schemas.errors import WeldstreamError
from schemas.events import ModelReleased
from schemas.inspectors import InspectorStanding
from schemas.topics import INSPECTORS, LABELS
from stream.acls import LEARNER, topics_to_ensure
from stream.broker import make_consumer, make_producer, send_and_wait
from stream.clients import Consumer
from stream.dead_letters import dead_letter
from stream.http import HttpServer, make_app
from stream.inspectors import encode_standing
from stream.reading import partitions_of, read_to_end
from stream.records import InRecord
from stream.topics import ensure_topics

_log = logging.getLogger(__name__)

T = TypeVar("T")


class LearnerNode:
    """Learns labels from its start until it is told to stop.

    Of several processes with one memory and one registry, one leads and the
    others stand by. A term of leading ends with the process, or when another
    has taken over; it begins anew, from the last checkpoint or from a version
    that is free of what was revoked, where a batch diverged or an inspector
    was revoked.

    Parameters
    ----------
    settings : LearnerSettings
        All settings.
    registry : CollectorRegistry
        Where metrics are registered.
    rng : random.Random
        Jitter of retries.
    clock : callable
        Returns the time, with a time zone.

    Raises
    ------
    KeyFileError
        If releases must be signed and there is no key to sign them with.
    """

    def __init__(
        self,
        settings: LearnerSettings,
        registry: CollectorRegistry,
        rng: random.Random,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._registry = open_registry(settings.registry, clock, publishes=True)
        self.metrics = LearnerMetrics(registry)
        self._patiently = Patient(rng, self.metrics)
        self.books = self._new_books()
        self._stopping = asyncio.Event()
        self._missing: str | None = "no learner leads yet"
        self.http = HttpServer(make_app(registry, self.why_not_ready), settings.http)
        self.metrics.ready.set_function(lambda: float(self.why_not_ready() is None))

    def why_not_ready(self) -> str | None:
        """Return None if labels are read, else what is missing."""
        if self._stopping.is_set():
            return "the process is stopping"
        return self._missing or self._patiently.waits_for

    def stop(self) -> None:
        """Finish the step under way, write a checkpoint, and let ``run`` return."""
        self._stopping.set()

    async def run(self) -> None:
        """Learn until stopped.

        Raises
        ------
        ExceptionGroup
            If any part fails; a restart continues from the last checkpoint.
        """
        async with AsyncExitStack() as resources, asyncio.TaskGroup() as tasks:
            resources.callback(self.http.close)
            serving = tasks.create_task(self.http.run())
            resources.callback(serving.cancel)
            working = tasks.create_task(self._work())
            stopping = tasks.create_task(self._stopping.wait())
            resources.callback(stopping.cancel)
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await working
            stopping.cancel()
            self.http.stop()
            await serving

    async def rebuild(self) -> None:
        """Forget the memory and read it anew from the labels topic, without training."""
        settings = self._settings
        async with AsyncExitStack() as resources:
            resources.callback(self.http.close)
            await self._connect(resources)
            memories = await open_memories(settings, resources, self._memory_rng(), self._patiently)
            storage, rule = Storage(settings, self._registry), HoldoutRule(settings.holdout)
            standings, _ = await self._standings()
            first = await asyncio.to_thread(storage.first)
            revoked = standings.revoked()
            admitted = await rebuild_memory(
                settings,
                memories,
                make_reader(settings),
                rule,
                self._clock,
                first=first,
                wanted=lambda label: label.inspector_id not in revoked,
                placed=HiddenChanges(settings.domains).placed,
                extras=await asyncio.to_thread(make_extras, settings, StoredLogits()),
            )
            _log.info("memory rebuilt from %d labels", admitted)

    async def _work(self) -> None:
        async with AsyncExitStack() as resources:
            producer = await self._until_stopped(self._connect(resources))
            if producer is None:
                return
            client = open_redis(self._settings.redis)
            resources.push_async_callback(client.aclose)
            leadership = Leadership(
                client, leader_key(self._settings.redis.key_prefix), self._settings.leadership.seconds
            )
            while not self._stopping.is_set():
                self._missing = "another learner leads"
                if await self._until_stopped(self._acquired(leadership)) is None:
                    return
                try:
                    # Kept from the first moment on: putting the parts together takes longer than a lock lasts.
                    async with asyncio.TaskGroup() as tasks:
                        keeping = tasks.create_task(leadership.keep())
                        await self._lead(producer)
                        keeping.cancel()
                except* (StartOverError, LeadershipLostError, FencedError) as ended:
                    self._begin_anew(ended)
                finally:
                    self.metrics.leads.set(0)
                    await leadership.release()

    async def _acquired(self, leadership: Leadership) -> bool:
        await leadership.acquire()
        return True

    def _begin_anew(self, ended: BaseExceptionGroup[WeldstreamError]) -> None:
        for error in _leaves(ended):
            _log.warning("the learner begins anew: %s", error)
            self.metrics.restarts.labels(error.reason).inc()

    async def _lead(self, producer: AIOKafkaProducer) -> None:
        settings = self._settings
        async with AsyncExitStack() as resources:
            executor = resources.enter_context(ThreadPoolExecutor(1, "learn"))
            memories = await open_memories(settings, resources, self._memory_rng(), self._patiently)
            consumer: Consumer = make_consumer(
                settings.kafka, group_id=settings.intake.group_id, client_id="weldstream-learner"
            )
            resources.push_async_callback(consumer.stop)
            await self._patiently("kafka", consumer.start)
            self.books = self._new_books()
            source = LabelSource(consumer, settings, self.books, self.metrics)
            storage = Storage(settings, self._registry)
            holder = await asyncio.to_thread(self._holder)
            epoch = await self._patiently("registry", lambda: asyncio.to_thread(storage.registry.take_over, holder))
            standings, decided = await self._standings()
            parts = await assemble(
                settings,
                storage,
                memories,
                self._outside(producer, source, executor),
                books=self.books,
                standings=standings,
                revoked=await find_revoked(settings.kafka, standings.revoked()),
                holder=holder,
                epoch=epoch,
            )
            await self._patiently("kafka", lambda: source.open(decided))
            self.metrics.leads.set(1)
            self._missing = None
            _log.info("leading, epoch %d", epoch)
            term = Term(parts, source, standings, self.metrics, deterministic=settings.training.deterministic)
            await term.run(self._stopping)

    def _outside(self, producer: AIOKafkaProducer, source: LabelSource, executor: ThreadPoolExecutor) -> Outside:
        kafka = self._settings.kafka

        async def announce(released: ModelReleased) -> None:
            record = announcement(self._settings, released, self._clock)
            await self._patiently("announce", lambda: send_and_wait(producer, record))

        async def refuse(record: InRecord, error: WeldstreamError) -> None:
            self.metrics.dead_letters.labels(error.reason).inc()
            letter = dead_letter(record, error, 1, kafka, clock=self._clock)
            await self._patiently("dead_letter", lambda: send_and_wait(producer, letter))

        async def decide(standing: InspectorStanding) -> None:
            record = encode_standing(kafka, standing, source=SOURCE)
            await self._patiently("decide", lambda: send_and_wait(producer, record))

        return Outside(
            patiently=self._patiently,
            announce=announce,
            refuse=refuse,
            decide=decide,
            commit=source.commit,
            executor=executor,
            metrics=self.metrics,
            clock=self._clock,
        )

    async def _standings(self) -> tuple[Standings, Mapping[int, int]]:
        """Read all decisions on inspectors; return also by partition where the next one will lie."""
        kafka, standings, following = self._settings.kafka, Standings(), dict[int, int]()
        partitions = await partitions_of(kafka, kafka.topic(INSPECTORS))
        async with aclosing(read_to_end(kafka, partitions)) as records:
            async for record in records:
                following[record.partition] = record.offset + 1
                standings.take(record, self.metrics)
        return standings, following

    def _holder(self) -> str:
        """Return the name of the folder of checkpoints, which is what a takeover by somebody else outdates."""
        path: Path = self._settings.checkpoint.folder / "holder"
        if not path.exists():
            with written_aside(path, uuid4().hex.encode()) as temporary:
                temporary.replace(path)
        return path.read_text()

    async def _connect(self, resources: AsyncExitStack) -> AIOKafkaProducer:
        kafka = self._settings.kafka
        producer = make_producer(kafka, client_id="weldstream-learner")
        resources.push_async_callback(producer.stop)
        await self._patiently("kafka", lambda: ensure_topics(kafka, topics_to_ensure(LEARNER, kafka)))
        await self._patiently("kafka", producer.start)
        return producer

    async def _until_stopped(self, work: Awaitable[T]) -> T | None:
        """Return what comes of work, None if the process is stopped before."""
        doing = asyncio.ensure_future(work)
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if doing.done():
            return doing.result()
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)
        return None

    def _new_books(self) -> Books:
        settings = self._settings
        return Books(settings.kafka.topic(LABELS), settings.intake.known_labels, HiddenChanges(settings.domains))

    def _memory_rng(self) -> np.random.Generator:
        return np.random.default_rng(self._settings.seed + 1)


def _leaves(group: BaseExceptionGroup[WeldstreamError]) -> list[WeldstreamError]:
    """Return the errors of a group, of groups within it too."""
    found: list[WeldstreamError] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
