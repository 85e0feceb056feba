"""From a training state to its announcement, through the learner's own parts."""

import asyncio
import statistics
import time
from pathlib import Path

from benchmarks.figures import Figure, measured
from benchmarks.rig import Rig, frames, now
from learner.releaser import Learned, Releaser, Stopwatch
from learner.settings import LearnerSettings
from learner.trainers import make_trainer
from memory.artifacts import ArtifactStore
from memory.samples import Sample

RELEASES = 10


async def state_to_announcement(rig: Rig, cache: Path) -> list[Figure]:
    """Release the same network again and again: export, parity, store, record, announce."""
    settings = LearnerSettings(kafka=rig.kafka, registry=rig.stack.registry_settings)
    registry = settings.registry
    releaser = Releaser(settings, ArtifactStore(registry.uri, cache_dir=cache), rig.registry)
    trainer = await asyncio.to_thread(make_trainer, settings)
    await asyncio.to_thread(releaser.prepare)
    scans = [
        Sample(s.frame.frame_id, s.frame.domain, s.frame.weld_id, s.pixels, s.mask)
        for s in frames(settings.release.parity_frames, "parity")
        if s.mask is not None
    ]
    seconds, parts = [], Stopwatch()
    for _ in range(RELEASES):
        learned = Learned(0, {}, {}, (), now(), {})
        began = time.perf_counter()
        released = await asyncio.to_thread(
            releaser.publish, trainer.averaged, scans, learned, parent=1, gate=None, watch=parts
        )
        await rig.announce(released)
        seconds.append(time.perf_counter() - began)
    shares = ", ".join(f"{name} {value:.2f} s" for name, value in parts.seconds.items())
    method = (
        f"{RELEASES} releases: export, parity with torch, store, record, announce; the last one: {shares}; "
        "the gate is apart"
    )
    return [
        measured("training state to announcement, worst", max(seconds), "s", method, at_most=1.0),
        measured("training state to announcement, median", statistics.median(seconds), "s", method),
    ]
