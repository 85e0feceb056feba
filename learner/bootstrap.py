"""``python -m learner.bootstrap``: trains and publishes a first model on labelled frames, before any label streams."""

import argparse
import asyncio
import hashlib
import logging
import os
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load

from learner.export import export_weights
from learner.extras import Remembering, StoredLogits, make_extras
from learner.holdout import HoldoutRule
from learner.learning import load_weights
from learner.releaser import Learned, Releaser, Stopwatch, announcement
from learner.sample_sets import FIRST_HELD_OUT, FIRST_TRAINING, GOLDEN, SampleSet
from learner.settings import LearnerSettings
from learner.stores import open_memories
from learner.trainer import Trainer
from learner.trainers import make_trainer
from memory.artifacts import ArtifactStore
from memory.files import written_aside
from memory.registry import open_registry
from memory.samples import Sample
from schemas.events import ModelReleased
from stream.acls import LEARNER, topics_to_ensure
from stream.broker import make_producer, send_and_wait
from stream.preprocessing import VERSION
from stream.retry import RetryPolicy
from stream.simulator.domains import DOMAINS
from stream.simulator.source import SimulatorSource
from stream.sources.base import SourceFrame
from stream.topics import ensure_topics

_log = logging.getLogger(__name__)

LEAST_GOLDEN = 4
"""A golden set of fewer frames decides nothing."""


def samples_of(frames: Iterable[SourceFrame]) -> list[Sample]:
    """Return the labelled frames of a source; those without a mask are passed over."""
    return [
        Sample(f"bootstrap-{s.frame.frame_id}", s.frame.domain, s.frame.weld_id, s.pixels, s.mask)
        for s in frames
        if s.mask is not None
    ]


def split(samples: Sequence[Sample], settings: LearnerSettings) -> tuple[list[Sample], list[Sample]]:
    """Return what is trained on and what is held out, by the rule that the learner follows.

    Where the rule holds out too little, as it may with few welds, the last
    weld is held out as a whole.

    Raises
    ------
    ValueError
        If nothing would be left to train on.
    """
    rule = HoldoutRule(settings.holdout)
    held = {s.weld_id for s in samples if rule.holds_out(s.domain, s.weld_id, s.label_id)}
    if settings.holdout.unit == "weld" and sum(s.weld_id in held for s in samples) < LEAST_GOLDEN and samples:
        held.add(samples[-1].weld_id)

    def is_held(sample: Sample) -> bool:
        if settings.holdout.unit == "weld":
            return sample.weld_id in held
        return rule.holds_out(sample.domain, sample.weld_id, sample.label_id)

    training = [s for s in samples if not is_held(s)]
    if not training:
        msg = f"of {len(samples)} labelled frames none is left to train on: take more welds"
        raise ValueError(msg)
    return training, [s for s in samples if is_held(s)]


def train_first_model(
    trainer: Trainer,
    samples: Sequence[Sample],
    settings: LearnerSettings,
    monotonic: Callable[[], float] = time.monotonic,
) -> int:
    """Train a network on samples for at most ``settings.bootstrap.seconds``. Blocking.

    Weights are kept by the digest of samples, settings and code, and taken
    from there the next time. A deterministic learner does neither that nor
    looks at the clock: both would leave other random states behind.

    Parameters
    ----------
    trainer : Trainer
        Its network is trained in place; batch statistics are learned here only.
    samples : sequence of Sample
        What is trained on.
    settings : LearnerSettings
        Network, rates, seed, steps and seconds, and where weights are kept.
    monotonic : callable
        Returns seconds.

    Returns
    -------
    int
        Steps made; 0 if the weights were there already.
    """
    bootstrap = settings.bootstrap
    if settings.training.deterministic:
        return len(trainer.pretrain(samples, bootstrap.steps, bootstrap.batch_size))
    kept = (bootstrap.cache_dir or first_model_folder()) / digest(samples, settings) / "weights.safetensors"
    if kept.is_file():
        load_weights(trainer, load(kept.read_bytes()))
        return 0
    ends = monotonic() + bootstrap.seconds
    losses = trainer.pretrain(samples, bootstrap.steps, bootstrap.batch_size, lambda _: monotonic() >= ends)
    with written_aside(kept, export_weights(trainer.model)) as temporary:
        temporary.replace(kept)
    return len(losses)


def first_model_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where first models are kept."""
    root = environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "weldstream" / "first-model"


def digest(samples: Sequence[Sample], settings: LearnerSettings) -> str:
    """Return what a first model depends on, as a sha256: samples, settings, and the code that trains."""
    found = hashlib.sha256(VERSION.encode())
    bootstrap = settings.bootstrap.model_copy(update={"cache_dir": None})
    parts = (settings.model, settings.trainer, bootstrap, settings.classes)
    for part in parts:
        found.update(part.model_dump_json().encode())
    found.update(f"{settings.seed}\0{torch.__version__}".encode())
    folder = Path(__file__).parent
    for name in ("crops.py", "encoders.py", "losses.py", "model.py", "trainer.py"):
        found.update((folder / name).read_bytes())
    # Neither label ids nor offsets matter, nor the order in which the labels came.
    frames = sorted(hashlib.sha256(s.domain.encode() + s.pixels.tobytes() + s.mask.tobytes()).digest() for s in samples)
    found.update(b"".join(frames))
    return found.hexdigest()


async def publish_first_model(
    samples: Sequence[Sample], settings: LearnerSettings, clock: Callable[[], datetime]
) -> ModelReleased:
    """Train, publish and announce version 1 with its golden set, and fill the memories. Idempotent.

    A model line that has a version already is announced once more and left as it is.
    """
    uri, options, name = settings.registry.uri, settings.registry.options, settings.registry.model_name
    registry = open_registry(settings.registry, clock, publishes=True)
    released = await asyncio.to_thread(registry.serving)
    if released is None:
        training, held_out = split(samples, settings)
        began = time.monotonic()
        trainer = await asyncio.to_thread(make_trainer, settings)
        steps = await asyncio.to_thread(train_first_model, trainer, training, settings)
        seconds = time.monotonic() - began
        _log.info("first model: %d steps in %.1f s on %d frames", steps, seconds, len(training))
        artifacts = ArtifactStore(uri, options, cache_dir=settings.checkpoint.folder / "cache")
        if settings.memory.store == "redis":
            await _remember(training, held_out, settings)
            kept = {
                GOLDEN: _spread(held_out, settings.evaluation.golden),
                FIRST_TRAINING: training,
                FIRST_HELD_OUT: held_out,
            }
            for kind, chosen in kept.items():
                if chosen:
                    await asyncio.to_thread(SampleSet(uri, options, name, kind, artifacts).keep, chosen)
        learned = Learned(
            0, {}, {}, (), clock(), {"first_model_seconds": seconds, "first_model_frames": float(len(training))}
        )
        released = await asyncio.to_thread(
            Releaser(settings, artifacts, registry).publish,
            trainer.model,
            training,
            learned,
            parent=None,
            gate=None,
            watch=Stopwatch(),
        )
    await ensure_topics(settings.kafka, topics_to_ensure(LEARNER, settings.kafka))
    producer: Any = make_producer(settings.kafka, client_id="weldstream-bootstrap")
    try:
        await RetryPolicy().run(producer.start, rng=random.Random())  # noqa: S311 - jitter only
        await send_and_wait(producer, announcement(settings, released, clock))
    finally:
        await producer.stop()
    return released


async def _remember(training: Sequence[Sample], held_out: Sequence[Sample], settings: LearnerSettings) -> None:
    """Put what the first model was trained on where the learner rehearses it from."""
    async with AsyncExitStack() as resources:
        memories = await open_memories(settings, resources, np.random.default_rng(settings.seed))
        extras = await asyncio.to_thread(make_extras, settings, StoredLogits())
        remembering = Remembering(memories.episodic, extras, None)
        for sample in training:
            await remembering.admit(sample)
        for sample in held_out:
            await memories.validation.admit(sample)


def _spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    """Return samples spread evenly: neighbours along a weld show the same, and those that show a defect come first."""
    shown = [s for s in samples if s.mask.any()] or list(samples)
    step = max(1, len(shown) // max(1, count))
    return shown[::step][:count]


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line; everything else comes from the learner's settings."""
    parser = argparse.ArgumentParser(
        prog="python -m learner.bootstrap", description="Trains and announces a first model on simulated scans."
    )
    parser.add_argument("--domain", type=int, default=0, help="number of the simulator's preset (default 0)")
    parser.add_argument("--welds", type=int, default=8, help="welds to scan (default 8)")
    parser.add_argument("--frames-per-weld", type=int, default=24, help="frames of each weld (default 24)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the simulator (default 0)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = LearnerSettings()
    torch.set_num_threads(settings.training.threads)
    source = SimulatorSource(
        [DOMAINS[options.domain]], seed=options.seed, welds=options.welds, frames_per_weld=options.frames_per_weld
    )
    released = asyncio.run(publish_first_model(samples_of(source), settings, lambda: datetime.now(UTC)))
    _log.info("%s v%d is announced", released.version.model.name, released.version.model.version)


if __name__ == "__main__":
    main()
