"""What surrounds the learner: an inspector who labels, and a reader of its announcements."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np

from learner.crops import CropConfig
from learner.model import ModelConfig
from learner.node import LearnerNode
from learner.settings import (
    BootstrapSettings,
    CheckpointSettings,
    HoldoutSettings,
    LeadershipSettings,
    LearnerSettings,
    ReleaseSettings,
    TrainingSettings,
)
from learner.trainer import TrainerConfig
from memory.key_files import verifier_of
from memory.registry import ModelRegistry
from schemas.events import ModelReleased
from schemas.frames import Frame, PixelSpacing, Probe, View
from schemas.judgements import ChainLink, Judgement, ModelRef, RecordPosition
from schemas.labels import LabelledFrame
from schemas.settings import HttpSettings, KafkaSettings, RedisSettings
from schemas.topics import DEAD_LETTERS, LABELS, MODEL_RELEASES
from stream.broker import make_consumer, make_producer, send_and_wait
from stream.codec import decode_event, encode_event, encode_raster
from stream.dead_letters import DeadLetter, read_dead_letter
from stream.preprocessing import VERSION
from stream.records import InRecord, OutRecord
from stream.topics import ensure_topics
from tests.keys import signed_registry

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
SIZE = 64
CODES = (100, 2011, 300, 401, 402)


def tiny_settings(kafka: KafkaSettings, redis: RedisSettings, folder: Path, **changes: Any) -> LearnerSettings:
    values: dict[str, Any] = {
        "kafka": kafka,
        "redis": redis,
        "registry": signed_registry(folder),
        "http": HttpSettings(port=0),
        "model": ModelConfig(encoder_depth=3, decoder_channels=(16, 8, 8), pretrained=False),
        "trainer": TrainerConfig(crops=CropConfig(size=SIZE)),
        "holdout": HoldoutSettings(share=0.0),
        "training": TrainingSettings(batch_size=4, replay_per_domain=2, idle_steps_per_label=0.0, device="cpu"),
        "release": ReleaseSettings(labels=8, seconds=3600, rollback_window=64),
        "checkpoint": CheckpointSettings(folder=folder / "learner", every_labels=4),
        "leadership": LeadershipSettings(seconds=4),
        "bootstrap": {"labels": 4, "steps": 4, "seconds": 30, "batch_size": 4},
    }
    values |= changes
    values["bootstrap"] = BootstrapSettings(**values["bootstrap"], cache_dir=folder / "first-model")
    return LearnerSettings(**values)


def frame(number: int, weld: str, domain: str) -> Frame:
    return Frame(
        frame_id=f"{weld}-{number}",
        weld_id=weld,
        position_mm=float(number),
        time=NOW,
        spacing=PixelSpacing(row_mm=0.5, column_mm=0.5),
        view=View.S_SCAN,
        probe=Probe(model="test", frequency_mhz=5, elements=16),
        procedure="test",
        material="steel",
        gain_db=0,
        domain=domain,
    )


def picture(number: int) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], np.ndarray[Any, np.dtype[np.uint8]]]:
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 60, (SIZE, SIZE), dtype=np.uint8)
    mask = np.zeros((SIZE, SIZE), np.uint8)
    row, column = rng.integers(0, SIZE - 20, 2)
    pixels[row : row + 20, column : column + 20] += 150
    mask[row : row + 20, column : column + 20] = 1
    return pixels, mask


def make_label(number: int, *, weld: str = "weld-1", domain: str = "first", **changes: Any) -> LabelledFrame:
    pixels, mask = picture(number)
    values: dict[str, Any] = {
        "label_id": f"label-{number}",
        "labelled_at": datetime.now(UTC),
        "inspector_id": "inspector",
        "frame": frame(number, weld, domain),
        "pixels": encode_raster(pixels),
        "mask": encode_raster(mask),
        "classes": CODES,
    }
    return LabelledFrame(**values | changes)


def blind_judgement(number: int, model: ModelRef) -> Judgement:
    """What a version that finds nothing would have published of a picture."""
    own = frame(number, "weld-1", "first")
    return Judgement(
        frame_id=own.frame_id,
        weld_id=own.weld_id,
        position_mm=own.position_mm,
        frame_time=own.time,
        domain="first",
        source=RecordPosition(topic="frames", partition=0, offset=number),
        pixels_sha256="0" * 64,
        model=model,
        preprocessing=VERSION,
        thresholds={},
        chain=ChainLink(pass_id=own.frame_id, sequence=0, previous=None),
        judged_at=NOW,
        mask=encode_raster(np.zeros((SIZE, SIZE), np.uint8)),
        classes=CODES,
        indications=(),
        uncertainty=0.0,
        flagged=False,
        latency_seconds=0.0,
        compute_seconds=0.0,
    )


class Outside:
    """Publishes labels and collects announcements and dead letters."""

    def __init__(self, settings: LearnerSettings) -> None:
        self.settings = settings
        self.kafka = settings.kafka
        self.registry = ModelRegistry(settings.registry.uri, settings.registry.model_name)
        self.releases: list[ModelReleased] = []
        self.letters: list[DeadLetter] = []
        self._arrived = asyncio.Condition()

    async def __aenter__(self) -> Self:
        await ensure_topics(self.kafka)
        self._producer = make_producer(self.kafka)
        await self._producer.start()
        self._consumer: Any = make_consumer(self.kafka, (MODEL_RELEASES, DEAD_LETTERS))
        await self._consumer.start()
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self._consumer.stop()
        await self._producer.stop()
        # Whatever a learner announces, first models, releases and roll-backs, inference must be able to trust.
        verifier = verifier_of(self.settings.registry)
        for released in self.releases if verifier is not None else ():
            verifier.check(released)
            verifier.check(released.version)

    async def _read(self) -> None:
        while True:
            batches = await self._consumer.getmany(timeout_ms=500)
            async with self._arrived:
                for records in batches.values():
                    for record in records:
                        self._keep(record)
                self._arrived.notify_all()

    def _keep(self, record: InRecord) -> None:
        if record.topic == self.kafka.topic(MODEL_RELEASES):
            self.releases.append(decode_event(record, MODEL_RELEASES, ModelReleased))
        else:
            self.letters.append(read_dead_letter(record))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60), self._arrived:
            await self._arrived.wait_for(condition)

    def record(self, label: LabelledFrame) -> OutRecord:
        return encode_event(
            self.kafka.topic(LABELS),
            LABELS,
            label,
            key=label.frame.weld_id,
            event_id=label.label_id,
            source="/test",
            time=NOW,
        )

    async def send(self, labels: Sequence[LabelledFrame]) -> None:
        for label in labels:
            await self.send_record(self.record(label))

    async def send_record(self, record: OutRecord) -> None:
        await send_and_wait(self._producer, record)


def count(node: LearnerNode, name: str, **labels: str) -> float:
    return node.metrics.registry.get_sample_value(f"weldstream_learner_{name}", labels) or 0.0


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until something inside this process is so."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - counters of a running node notify nobody
            await asyncio.sleep(0.02)
