"""kill -9 anywhere: no label is lost, and none is twice in the weights that are restored."""

import asyncio
import os
import random
import signal
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from learner.checkpoint import CheckpointStore
from learner.node import LearnerNode
from learner.settings import DomainSettings, HoldoutSettings, LearnerSettings, MemorySettings
from learner.stores import open_memories
from learner.strategies.replay import ReplayConfig
from memory.admission import AdmissionPolicy
from memory.sampling import Balanced
from schemas.settings import KafkaSettings, RedisSettings
from stream.codec import encode_raster
from tests.integration.learner.outside import Outside, count, eventually, make_label, picture, tiny_settings
from tests.integration.learner.test_node import running

ROOT = Path(__file__).resolve().parents[3]


def environment(settings: LearnerSettings) -> dict[str, str]:
    """Return the variables from which a process builds the same settings."""
    variables = dict(os.environ)
    for section in ("kafka", "redis", "registry", "http", "model", "trainer", "holdout", "training", "release"):
        variables[f"WELDSTREAM_{section.upper()}"] = getattr(settings, section).model_dump_json()
    for section in (
        "checkpoint",
        "bootstrap",
        "leadership",
        "inspectors",
        "memory",
        "evaluation",
        "strategy",
        "domains",
    ):
        variables[f"WELDSTREAM_{section.upper()}"] = getattr(settings, section).model_dump_json()
    # Dumped as JSON a secret is stars.
    variables["WELDSTREAM_REDIS__URL"] = settings.redis.url.get_secret_value()
    del variables["WELDSTREAM_REDIS"]
    variables["WELDSTREAM_REDIS__KEY_PREFIX"] = settings.redis.key_prefix
    return variables


def checkpoint(settings: LearnerSettings) -> Any:
    return CheckpointStore(settings.checkpoint.folder / "checkpoints").load_latest()


async def start(settings: LearnerSettings, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "learner.app", *arguments, cwd=ROOT, env=environment(settings)
    )


async def test_a_killed_learner_loses_no_label_and_learns_none_twice(
    kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    settings = tiny_settings(kafka_settings, redis_settings, tmp_path)
    labels = [make_label(n) for n in range(30)]
    async with Outside(settings) as outside:
        process = await start(settings)
        await outside.send(labels[:10])
        await outside.until(lambda: len(outside.releases) >= 1)
        await outside.send(labels[10:])
        # Labels are on their way between Kafka, memory, queue and weights when it dies.
        await asyncio.sleep(random.Random(os.urandom(4)).uniform(0.0, 0.5))
        process.send_signal(signal.SIGKILL)
        await process.wait()
        before = checkpoint(settings)
        async with running(settings) as node:
            await eventually(lambda: node.books.learned == len(labels))
            again = count(node, "labels_total", outcome="learned")
            assert count(node, "labels_total", outcome="duplicate") == 0
    after = checkpoint(settings)
    learned_before = before.position.labels_learned if before else outside.releases[0].version.labels_learned
    assert again == len(labels) - learned_before
    assert after.position.labels_learned == len(labels)
    assert list(after.position.offsets.values()) == [len(labels)]
    assert sorted(after.extra["known"]) == sorted(label.label_id for label in labels)


@pytest.mark.parametrize(
    ("capacity", "policy"),
    [(100, "reservoir"), (6, "reservoir"), (6, "class_balanced"), (6, "ring"), (6, "coreset")],
)
async def test_the_memory_is_rebuilt_from_the_labels_topic_alone(
    capacity: int, policy: AdmissionPolicy, kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    settings = tiny_settings(
        kafka_settings,
        redis_settings,
        tmp_path,
        holdout=HoldoutSettings(share=0.3, unit="label"),
        memory=MemorySettings(samples=capacity, validation_samples=capacity, policy=policy),
        strategy=ReplayConfig(),  # the topic does not hold what a network answered
    )
    async with Outside(settings) as outside, AsyncExitStack() as resources:
        async with running(settings) as node:
            await outside.send([make_label(n, domain=f"domain-{n % 2}") for n in (*range(16), 3)])
            await eventually(lambda: node.books.progress.offsets() == {0: 17})
        memories = await open_memories(settings, resources, np.random.default_rng(0))

        async def stored() -> list[set[tuple[str, bytes]]]:
            drawn = [
                await memory.draw(Balanced(1000, domains=("domain-0", "domain-1")))
                for memory in (memories.episodic, memories.validation)
            ]
            return [{(sample.label_id, sample.to_bytes()) for sample in samples} for samples in drawn]

        before, stats = await stored(), (await memories.episodic.stats())
        assert all(before)
        await memories.episodic.clear()
        rebuilding = LearnerNode(settings, CollectorRegistry(), random.Random(0), lambda: datetime.now(UTC))
        await rebuilding.rebuild()
        assert await stored() == before
        assert await memories.episodic.stats() == stats


async def test_a_hidden_change_has_the_same_domain_after_a_restart_and_in_a_memory_made_anew(
    kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    """A probe that is swapped and not named: labels of one descriptor are remembered as those of two domains."""
    settings = tiny_settings(
        kafka_settings,
        redis_settings,
        tmp_path,
        domains=DomainSettings(drift_block=2, drift_warmup=4, drift_threshold=4),
        memory=MemorySettings(samples=100),
    )
    labels = [make_label(n) for n in range(40)]
    for n in range(20, 40):
        pixels, _ = picture(n)
        coarse = np.kron(pixels[::4, ::4], np.ones((4, 4), np.uint8))
        labels[n] = labels[n].model_copy(update={"pixels": encode_raster(coarse)})

    async def domains_of_labels() -> dict[str, str]:
        async with AsyncExitStack() as resources:
            memories = await open_memories(settings, resources, np.random.default_rng(0))
            drawn = await memories.episodic.draw(Balanced(100))
        return {sample.label_id: sample.domain for sample in drawn}

    async with Outside(settings) as outside:
        for begin, end in ((0, 27), (27, 40)):
            async with running(settings) as node:
                await outside.send(labels[begin:end])
                await eventually(lambda: node.books.progress.offsets() == {0: end})  # noqa: B023 - asked at once
    found = await domains_of_labels()
    assert len(found) == 40
    first = min(int(label.removeprefix("label-")) for label, domain in found.items() if domain == "first~2")
    assert 20 <= first < 36
    assert found == {f"label-{n}": "first" if n < first else "first~2" for n in range(40)}
    rebuilding = LearnerNode(settings, CollectorRegistry(), random.Random(0), lambda: datetime.now(UTC))
    await rebuilding.rebuild()
    assert await domains_of_labels() == found
    assert checkpoint(settings).extra["domains"][-1] == "first~2"
