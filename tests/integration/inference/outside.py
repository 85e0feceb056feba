"""What surrounds the node: acquisition, the gate, and those who read its topics."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import httpx
from aiokafka import AIOKafkaConsumer
from safetensors.numpy import save

from inference.node import InferenceNode
from inference.settings import InferenceSettings
from memory.artifacts import ArtifactStore
from memory.registry import ModelRegistry
from schemas.events import Artifact, ModelReleased, ModelVersion, ReleaseKind
from schemas.judgements import Judgement
from schemas.topics import ALERTS, DEAD_LETTERS, FRAMES, JUDGEMENTS, MODEL_RELEASES, REVIEW_REQUESTS, Topic
from stream.broker import make_consumer, make_producer, send, send_and_wait
from stream.codec import decode_event, encode_event, encode_frame
from stream.dead_letters import DeadLetter, read_dead_letter
from stream.ledger import Entry
from stream.records import InRecord, OutRecord
from stream.topics import ensure_topics
from tests.keys import signer_for
from tests.unit.inference.tiny import NOW, graph_bytes, make_frame, make_version, scan, tiny_weights

READ = (JUDGEMENTS, ALERTS, REVIEW_REQUESTS, DEAD_LETTERS)


class Outside:
    """Publishes frames and releases, and collects all that comes out."""

    def __init__(self, settings: InferenceSettings, cache: Path) -> None:
        self.settings = settings
        self.kafka = settings.kafka
        self.artifacts = ArtifactStore(settings.registry.uri, cache_dir=cache)
        self.signer = signer_for(settings.registry)
        self.published: list[str] = []
        self.records: dict[str, list[InRecord]] = {topic.name: [] for topic in READ}
        self.arrived = asyncio.Condition()

    async def __aenter__(self) -> Self:
        await ensure_topics(self.kafka)
        self.producer = make_producer(self.kafka)
        await self.producer.start()
        self.consumer: AIOKafkaConsumer = make_consumer(self.kafka, READ)
        await self.consumer.start()
        self.reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.reading.cancel()
        await asyncio.gather(self.reading, return_exceptions=True)
        await self.consumer.stop()
        await self.producer.stop()

    async def _read(self) -> None:
        while True:
            polled = await self.consumer.getmany(timeout_ms=1000)
            async with self.arrived:
                for records in polled.values():
                    for record in records:
                        self.records[record.topic.removeprefix(self.kafka.topic_prefix)].append(record)
                self.arrived.notify_all()

    async def until(self, topic: Topic, count: int) -> None:
        """Wait until so many records came out of a topic."""
        async with asyncio.timeout(60), self.arrived:
            await self.arrived.wait_for(lambda: len(self.records[topic.name]) >= count)

    async def publish(self, number: int, weld: str = "weld-1", **changes: object) -> None:
        frame = make_frame(number, weld)
        pixels = scan(number, **changes)  # type: ignore[arg-type]
        record = encode_frame(frame, pixels, topic=self.kafka.topic(FRAMES), source="/test")
        await self.send(record)
        self.published.append(frame.frame_id)

    async def send(self, record: OutRecord) -> None:
        await send_and_wait(self.producer, record)

    async def send_many(self, records: list[OutRecord]) -> None:
        await asyncio.gather(*[await send(self.producer, record) for record in records])

    async def announce(self, version: ModelVersion, sequence: int) -> None:
        release = ModelReleased(
            version=version, kind=ReleaseKind.RELEASE, sequence=sequence, announced_at=NOW, reason="test"
        )
        await self.send_release(self.signer.sign(release))

    async def send_release(self, release: ModelReleased) -> None:
        """Announce as it is, signed or not."""
        await self.send(
            encode_event(
                self.kafka.topic(MODEL_RELEASES),
                MODEL_RELEASES,
                release,
                key=release.version.model.name,
                event_id=f"release-{release.sequence}",
                source="/test",
                time=NOW,
            )
        )

    async def release(self, number: int, defect: int = 1, threshold: float = 3.0) -> None:
        """Store a model and announce it."""
        graph, weights = graph_bytes(), save(tiny_weights(defect, threshold))
        for blob in (graph, weights):
            await asyncio.to_thread(self.artifacts.put, blob)
        await self.announce(make_version(number, graph, weights), number)

    async def register(
        self, number: int, defect: int = 1, threshold: float = 3.0, *, sequence: int | None = None
    ) -> None:
        """Record a version where a restarted process finds it, and announce it."""
        graph, weights = graph_bytes(), save(tiny_weights(defect, threshold))
        for blob in (graph, weights):
            await asyncio.to_thread(self.artifacts.put, blob)
        version = make_version(number, graph, weights)
        registry = ModelRegistry(self.settings.registry.uri, self.settings.registry.model_name, signer=self.signer)
        fields = {
            name: getattr(version, name) for name in type(version).model_fields if name not in {"model", "signature"}
        }
        published = await asyncio.to_thread(lambda: registry.publish(**fields))
        assert published.model.version == number
        await self.announce(published, sequence or number)

    def stored(self, artifact: Artifact) -> Iterator[Path]:
        """Find the file in which the store keeps an artifact."""
        return Path(self.settings.registry.uri).rglob(artifact.sha256)

    async def status(self, node: InferenceNode, path: str) -> tuple[int, str]:
        async with httpx.AsyncClient(base_url=node.http.url) as client:
            answer = await client.get(path)
        return answer.status_code, answer.text

    def judgements(self) -> list[Judgement]:
        return [decode_event(record, JUDGEMENTS, Judgement) for record in self.records[JUDGEMENTS.name]]

    def entries(self) -> list[Entry]:
        records = self.records[JUDGEMENTS.name]
        return [Entry.of(decode_event(r, JUDGEMENTS, Judgement), r.value) for r in records if r.value is not None]

    def dead_letters(self) -> list[DeadLetter]:
        return [read_dead_letter(record) for record in self.records[DEAD_LETTERS.name]]

    async def read_all(self) -> None:
        """Read every topic to its end: what is there twice may come late."""
        partitions = self.consumer.assignment()
        ends = await self.consumer.end_offsets(partitions)
        async with asyncio.timeout(60), self.arrived:
            for partition, end in ends.items():
                while await self.consumer.position(partition) < end:
                    await self.arrived.wait()

    async def assert_judged_once(self) -> None:
        await self.read_all()
        judged = Counter(judgement.frame_id for judgement in self.judgements())
        assert judged == Counter(self.published)


async def eventually(holds: Callable[[], object]) -> None:
    """Look at something that nobody announces until it holds."""
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
