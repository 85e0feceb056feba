"""The learner on a real Kafka and a real Redis."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from prometheus_client import CollectorRegistry

from learner.checkpoint import CheckpointStore
from learner.crops import CropConfig
from learner.export import INPUT, open_session
from learner.holdout import HoldoutRule
from learner.node import LearnerNode
from learner.release_gate import GateConfig
from learner.settings import EvaluationSettings, HoldoutSettings, LearnerSettings, ReleaseSettings
from learner.trainer import TrainerConfig
from memory.artifacts import ArtifactStore
from schemas.events import ReleaseKind
from schemas.settings import KafkaSettings, RedisSettings
from stream.codec import encode_raster
from tests.integration.learner.outside import (
    SIZE,
    Outside,
    blind_judgement,
    count,
    eventually,
    make_label,
    tiny_settings,
)


def make_node(settings: LearnerSettings) -> LearnerNode:
    return LearnerNode(settings, CollectorRegistry(), random.Random(0), lambda: datetime.now(UTC))


@asynccontextmanager
async def running(settings: LearnerSettings) -> AsyncIterator[LearnerNode]:
    node = make_node(settings)
    task = asyncio.create_task(node.run())
    try:
        yield node
    finally:
        node.stop()
        await task


async def test_labels_become_an_announced_model_that_loads(
    kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    settings = tiny_settings(kafka_settings, redis_settings, tmp_path)
    async with Outside(settings) as outside, running(settings) as node:
        await outside.send([make_label(n) for n in range(4)])
        await outside.until(lambda: len(outside.releases) == 1)
        await outside.send([make_label(n) for n in range(4, 12)])
        await outside.until(lambda: len(outside.releases) == 2)
        async with httpx.AsyncClient(base_url=node.http.url) as client:
            assert (await client.get("/readyz")).status_code == 200
            assert "weldstream_learner_labels_total" in (await client.get("/metrics")).text
    first, second = outside.releases
    assert (first.kind, second.kind) == (ReleaseKind.INITIAL, ReleaseKind.RELEASE)
    assert first.version.gate is None
    assert second.version.gate is not None
    assert second.version.parent == first.version.model.version
    assert second.version.labels_learned == 12
    assert second.version.labels_until == {0: 12}
    store = ArtifactStore(settings.registry.uri, cache_dir=tmp_path / "cache")
    session = open_session(store.open_local(second.version.graph), store.open_local(second.version.weights))
    (mask,) = session.run(["mask"], {INPUT: np.zeros((1, 1, SIZE, SIZE), np.float32)})
    assert mask.shape == (1, SIZE, SIZE)


async def test_a_bad_label_is_a_dead_letter_and_the_next_is_learned(
    kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    settings = tiny_settings(kafka_settings, redis_settings, tmp_path)
    async with Outside(settings) as outside, running(settings) as node:
        good = outside.record(make_label(0))
        await outside.send_record(replace(good, value=b"no json"))
        await outside.send_record(replace(good, headers=()))
        await outside.send([make_label(1, mask=encode_raster(np.full((SIZE, SIZE), 9, np.uint8)))])
        await outside.send([make_label(2, mask=encode_raster(np.zeros((8, 8), np.uint8)))])
        await outside.send([make_label(3, pixels=None)])
        await outside.send([make_label(n) for n in range(4, 8)])
        await outside.until(lambda: len(outside.letters) == 5 and len(outside.releases) == 1)
        assert count(node, "labels_total", outcome="dead_letter") == 5
        assert count(node, "labels_total", outcome="learned") == 4
    reasons = [letter.reason for letter in outside.letters]
    assert reasons == ["bad_payload", "missing_header", "bad_mask", "bad_mask", "unknown_frame"]
    assert outside.letters[0].original.value == b"no json"


async def test_the_same_label_twice_is_learned_once(
    kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    settings = tiny_settings(kafka_settings, redis_settings, tmp_path)
    async with Outside(settings) as outside, running(settings) as node:
        await outside.send([make_label(n) for n in (0, 0, 1, 2, 3)])
        await outside.until(lambda: len(outside.releases) == 1)
        await outside.send([make_label(n) for n in (0, 1, 4)])
        await eventually(lambda: count(node, "labels_total", outcome="learned") == 5)
        assert count(node, "labels_total", outcome="duplicate") == 3


async def test_held_out_labels_are_never_queued_and_survive_a_restart(
    kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    settings = tiny_settings(kafka_settings, redis_settings, tmp_path, holdout=HoldoutSettings(share=0.5))
    rule = HoldoutRule(settings.holdout)
    labels = [make_label(n, weld=f"weld-{n}") for n in range(24)]
    held_out = {x.label_id for x in labels if rule.holds_out(x.frame.domain, x.frame.weld_id, x.label_id)}
    assert 0 < len(held_out) < 20
    async with Outside(settings) as outside:
        async with running(settings) as node:
            await outside.send(labels)
            await eventually(lambda: count(node, "labels_total", outcome="held_out") == len(held_out))
            await eventually(lambda: count(node, "labels_total", outcome="learned") == 24 - len(held_out))
        async with running(settings) as node:
            await outside.send([make_label(n, weld=f"weld-{n}") for n in range(24, 60)])
            await outside.until(lambda: any(r.version.gate and r.version.gate.comparisons for r in outside.releases))
            assert count(node, "labels_total", outcome="duplicate") == 0


async def test_a_candidate_that_is_worse_is_refused_and_learning_goes_on(
    kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    # A rate at which nothing can be learned: every candidate calls some pixels wrong that the first model had right.
    settings = tiny_settings(
        kafka_settings,
        redis_settings,
        tmp_path,
        holdout=HoldoutSettings(share=0.3, unit="label"),
        trainer=TrainerConfig(learning_rate=0.1, warmup_steps=1, crops=CropConfig(size=SIZE)),
        gate=GateConfig(domain_margin=0, class_margin=0, overall_margin=0, min_domain_samples=1, min_class_samples=1),
        evaluation=EvaluationSettings(golden=8, newest=8),
        release=ReleaseSettings(labels=8, seconds=3600, rollback_window=64, fallbacks=()),
        bootstrap={"labels": 16, "steps": 60, "seconds": 30, "batch_size": 4},
    )
    async with Outside(settings) as outside, running(settings) as node:
        await outside.send([make_label(n) for n in range(32)])
        await outside.until(lambda: len(outside.releases) == 1)
        await outside.send([make_label(n) for n in range(32, 64)])
        await eventually(lambda: count(node, "releases_total", verdict="refused") >= 2)
    refusals = await asyncio.to_thread(outside.registry.refusals)
    assert len(refusals) >= 2
    assert any(not comparison.passed for comparison in refusals[0].verdict.comparisons)
    assert len(outside.releases) == 1


async def test_releases_that_turn_out_worse_are_taken_back_though_each_learned_but_two_labels(
    kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    # Nothing is held out, so the gate has nothing to judge by, and all is released.
    settings = tiny_settings(
        kafka_settings,
        redis_settings,
        tmp_path,
        trainer=TrainerConfig(learning_rate=0.1, warmup_steps=1, crops=CropConfig(size=SIZE)),
        release=ReleaseSettings(labels=2, seconds=3600, rollback_window=6, rollback_margin=0.05),
        bootstrap={"labels": 16, "steps": 60, "seconds": 30, "batch_size": 4},
    )
    async with Outside(settings) as outside, running(settings) as node:
        await outside.send([make_label(n) for n in range(16)])
        await outside.until(lambda: len(outside.releases) == 1)
        for n in range(16, 32, 2):
            known, serving = len(outside.releases), outside.releases[-1].version.model
            labels = [make_label(m, judgement=blind_judgement(m, serving)) for m in (n, n + 1)]
            await outside.send(labels)
            await outside.until(lambda known=known: len(outside.releases) > known)
            if outside.releases[-1].kind is ReleaseKind.ROLLBACK:
                break
        await eventually(lambda: count(node, "rollbacks_total") >= 1)
    back = next(r for r in outside.releases if r.kind is ReleaseKind.ROLLBACK)
    assert back.version == outside.releases[0].version
    # The first number went to the fence of the learner that took over.
    assert [r.sequence for r in outside.releases] == list(range(2, len(outside.releases) + 2))


async def test_a_stopped_learner_goes_on_where_it_stood(
    kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    settings = tiny_settings(kafka_settings, redis_settings, tmp_path)
    async with Outside(settings) as outside:
        async with running(settings) as node:
            await outside.send([make_label(n) for n in range(6)])
            await eventually(lambda: count(node, "labels_total", outcome="learned") == 6)
        async with running(settings) as node:
            await outside.send([make_label(n) for n in range(6, 9)])
            await eventually(lambda: count(node, "labels_total", outcome="learned") == 3)
    checkpoint: Any = CheckpointStore(settings.checkpoint.folder / "checkpoints").load_latest()
    assert checkpoint.position.labels_learned == 9
    assert list(checkpoint.position.offsets.values()) == [9]
    assert checkpoint.extra["known"] == [f"label-{n}" for n in range(9)]
