"""MLServer between two topics: its Kafka mode."""

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from benchmarks.peers.link import Link, linked
from benchmarks.peers.mlserver import MODEL, MLServer, answer, request
from benchmarks.peers.peer import Answer, Send
from schemas.settings import KafkaSettings
from schemas.topics import FRAMES, Topic
from stream.local.reaper import Reaper
from stream.records import InRecord, OutRecord
from stream.sources import SourceFrame
from stream.topics import ensure_topics


def topics(name: str) -> tuple[Topic, Topic]:
    """Return the topics of requests and of answers of one server."""
    return (
        Topic(f"{name}-in", "", None, "frame id", "Requests to MLServer.", partitions=FRAMES.partitions),
        Topic(f"{name}-out", "", None, "frame id", "Its answers.", partitions=FRAMES.partitions),
    )


class MLServerKafka(MLServer):
    """MLServer asked by one topic and answering in another."""

    def __init__(
        self, folder: Path, models: Sequence[Path], kafka: KafkaSettings, link: Link, *, in_place: bool, reaper: Reaper
    ) -> None:
        asked, answered = topics(folder.name)
        settings = {
            "kafka_enabled": True,
            "kafka_servers": kafka.bootstrap_servers,
            "kafka_topic_input": kafka.topic(asked),
            "kafka_topic_output": kafka.topic(answered),
        }
        super().__init__(folder, models, in_place=in_place, reaper=reaper, settings=settings)
        self.name = f"MLServer Kafka, {'reload' if in_place else 'new version'}"
        self.setting = f"Kafka mode, otherwise default settings, V2 JSON with base64 pixels; {self.how}"
        self._link = link
        self._topic = kafka.topic(asked)

    @property
    def answers(self) -> Sequence[Answer]:
        """Answers so far."""
        return self._link.answers

    def encode(self, scan: SourceFrame) -> Send:
        """Encode a frame as a request keyed by its id."""
        return self._link.sender(self._record(scan))

    def poison(self, scan: SourceFrame) -> Sequence[Send]:
        """Break the JSON, empty the value, and put bytes that are no text into a header."""
        record = self._record(scan)

        def poisoned(kind: str, value: bytes | None, *more: tuple[str, bytes]) -> Send:
            key = f"{scan.frame.frame_id}-{kind}".encode()
            return self._link.sender(OutRecord(record.topic, key, value, (*record.headers, *more)))

        return (
            poisoned("payload", b"no image"),
            poisoned("empty", None),
            poisoned("header", record.value, ("note", b"\xff\xfe")),
        )

    def _record(self, scan: SourceFrame) -> OutRecord:
        value = json.dumps(request(scan)).encode()
        return OutRecord(self._topic, scan.frame.frame_id.encode(), value, (("mlserver-model", MODEL.encode()),))


@contextlib.asynccontextmanager
async def mlserver_kafka(
    folder: Path, models: Sequence[Path], kafka: KafkaSettings, *, in_place: bool, reaper: Reaper
) -> AsyncIterator[MLServerKafka]:
    """Have an MLServer in its Kafka mode while the block runs."""
    asked, answered = topics(folder.name)
    await ensure_topics(kafka, (asked, answered))
    async with linked(kafka, (answered,), _read) as link:
        server = MLServerKafka(folder, models, kafka, link, in_place=in_place, reaper=reaper)
        try:
            yield server
        finally:
            await server.close()


def _read(record: InRecord, at: float) -> Answer:
    return answer(json.loads(record.value or b"{}"), at)
