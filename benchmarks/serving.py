"""How quick the loop around the model is, and what a swap costs."""

import asyncio
import copy
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.figures import Figure, measured
from benchmarks.release import state_to_announcement
from benchmarks.rig import Rig, connected, frames, now
from benchmarks.step import draw_cost
from benchmarks.swaps import WELD_IDLE_SECONDS, memory_over_swaps, swaps_under_load
from inference.session import ModelSession, SessionLoader
from learner.export import export_graph, export_weights
from learner.model import ModelConfig, Segmenter
from learner.settings import LearnerSettings
from learner.trainers import make_trainer
from memory.artifacts import ArtifactStore
from memory.registry import ModelRegistry, open_registry
from memory.samples import Sample
from schemas import ClassTable, ModelVersion
from stream.local import LocalStack
from stream.preprocessing import VERSION, prepare
from stream.topics import ensure_topics

VERSIONS = 4
TRAINING_FRAMES, TRAINING_STEPS = 96, 80
DIFFERENCE = 1e-3
"""Relative difference of the versions' weights."""
WARM_UP = 40
BACKLOG = 300
REPEATS = 3


def networks(count: int) -> list[Segmenter]:
    """Return networks that differ a little, all from one that was trained for a moment.

    An untrained network calls defects everywhere, and what is measured would be the writing of that.
    """
    settings = LearnerSettings()
    torch.set_num_threads(settings.training.threads)
    trainer = make_trainer(settings)
    samples = [
        Sample(s.frame.frame_id, s.frame.domain, s.frame.weld_id, s.pixels, s.mask)
        for s in frames(TRAINING_FRAMES, "training")
        if s.mask is not None
    ]
    trainer.pretrain(samples, TRAINING_STEPS)
    return variants(trainer.model, count)


def variants(network: Segmenter, count: int) -> list[Segmenter]:
    """Return copies of a network whose weights differ a little."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(count):
        variant = copy.deepcopy(network)
        with torch.no_grad():
            for weights in variant.parameters():
                weights.mul_(1 + DIFFERENCE * torch.randn(weights.shape, generator=generator))
        found.append(variant)
    return found


def publish_versions(
    registry: ModelRegistry, artifacts: ArtifactStore, versions: Sequence[Segmenter]
) -> list[ModelVersion]:
    """Publish networks of the default architecture as versions."""
    config, classes = ModelConfig(), ClassTable()
    graph = artifacts.put(export_graph(config, len(classes)))
    return [
        registry.publish(
            graph=graph,
            weights=artifacts.put(export_weights(network)),
            parent=None,
            architecture=config.name,
            classes=classes,
            preprocessing=VERSION,
            size_multiple=config.size_multiple,
            labels_learned=0,
            labels_until={},
            metrics={},
            gate=None,
            created_at=now(),
        )
        for network in versions
    ]


async def measure() -> list[Figure]:
    """Start a stack with inference on it and measure all serving figures."""
    with LocalStack() as stack:
        await ensure_topics(stack.kafka_settings)
        registry = open_registry(stack.registry_settings, publishes=True)
        with tempfile.TemporaryDirectory() as cache:
            artifacts = ArtifactStore(stack.registry_settings.uri, cache_dir=Path(cache))
            trained = await asyncio.to_thread(networks, VERSIONS)
            versions = publish_versions(registry, artifacts, trained)
            async with connected(stack, registry) as rig:
                await rig.release(versions[0].model.version)
                idle = {"WELDSTREAM_SERVING__WELD_IDLE_SECONDS": str(WELD_IDLE_SECONDS)}
                service = stack.start_service("inference", "inference.app", idle)
                await asyncio.to_thread(service.wait_ready)
                figures = await throughput(rig, artifacts, versions[0])
                figures += await swaps_under_load(rig, versions)
                figures += await memory_over_swaps(rig, versions)
                figures += await state_to_announcement(rig, Path(cache))
        figures += await draw_cost(stack.redis.url)
    return figures


async def throughput(rig: Rig, artifacts: ArtifactStore, version: ModelVersion) -> list[Figure]:
    """Compare the way through Kafka with a bare loop over the same frames, in turns."""
    await rig.publish(list(frames(WARM_UP, "warmup")))
    await rig.answers.until(WARM_UP)
    loader = SessionLoader(intra_op_threads=1, warmup_shape=(256, 256))
    session = loader.load(version, artifacts.open_local(version.graph), artifacts.open_local(version.weights))
    ratios, rates = [], []
    for repeat in range(REPEATS):
        scans = list(frames(BACKLOG, f"backlog-{repeat}"))
        prepared = [prepare(scan.pixels)[None] for scan in scans]
        bare = await asyncio.to_thread(_bare_rate, session, prepared)
        before = len(rig.answers.judgements)
        began = await rig.publish(scans)
        await rig.answers.until(before + BACKLOG)
        looped = BACKLOG / (asyncio.get_running_loop().time() - began)
        again = await asyncio.to_thread(_bare_rate, session, prepared)
        ratios.append(looped / np.mean([bare, again]))
        rates.append(looped)
    method = (
        f"median of {REPEATS}: {BACKLOG} frames of 256 x 256, encoded beforehand, published at once, until the last "
        "judgement is read back; over the mean rate of bare one-frame runs of the same model on the same frames, "
        "prepared beforehand, before and after; one thread each"
    )
    return [
        measured("frames/s through Kafka over bare onnxruntime", float(np.median(ratios)), "", method, at_least=0.90),
        measured("frames/s through Kafka, inference and back", float(np.median(rates)), "frames/s", method),
    ]


def _bare_rate(session: ModelSession, prepared: Sequence[NDArray[np.float32]]) -> float:
    began = time.perf_counter()
    for image in prepared:
        session.run(image)
    return len(prepared) / (time.perf_counter() - began)
