"""Puts the learner's parts together, going on where the newest trustworthy state stands."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import numpy as np
import torch

from learner.beginning import Beginning, Revoked, find_beginning
from learner.books import Books, strike_key
from learner.checkpoint import CheckpointStore
from learner.extras import Extras, Remembering, StoredLogits, make_extras
from learner.gradient_probe import GradientProbe
from learner.holdout import HoldoutRule, ValidationSet
from learner.inspectors import InspectorGuard, Standings
from learner.intake import Intake
from learner.labels import Label, LabelReader, Prequential, claim_checks
from learner.learning import STORED_LOGITS, Learning, load_weights
from learner.patience import Patience
from learner.rebuild import rebuild_memory
from learner.releaser import Releaser
from learner.releasing import Releasing, fallback
from learner.rollback import RollbackWatch
from learner.sample_sets import FIRST_HELD_OUT, FIRST_TRAINING, GOLDEN, SampleSet
from learner.served import Served
from learner.service import LearnerService
from learner.settings import LearnerSettings
from learner.stores import Memories, memory_rules
from learner.telemetry import LearnerMetrics
from learner.trainer import Trainer
from learner.trainers import make_trainer
from memory.artifacts import ArtifactStore
from memory.files import AtomicFiles
from memory.registry import ModelRegistry
from memory.samples import Sample
from schemas.errors import WeldstreamError
from schemas.events import ModelReleased
from schemas.inspectors import InspectorStanding
from schemas.topics import LABELS
from stream.codec import FrameLimits
from stream.crash_points import CrashPoints
from stream.records import InRecord

_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outside:
    """What the parts ask of the world.

    Attributes
    ----------
    patiently : Patience
        Repeats what fails because a service is away.
    announce, refuse, decide, commit : callable
        Announce a release, set a label aside as a dead letter, publish a
        decision on an inspector, and tell Kafka the offsets of a checkpoint.
    executor : ThreadPoolExecutor
        Of one thread, for all that is blocking.
    metrics, clock : LearnerMetrics, callable
        Counts; the time.
    """

    patiently: Patience
    announce: Callable[[ModelReleased], Awaitable[None]]
    refuse: Callable[[InRecord, WeldstreamError], Awaitable[None]]
    decide: Callable[[InspectorStanding], Awaitable[None]]
    commit: Callable[[Mapping[int, int]], Awaitable[None]]
    executor: ThreadPoolExecutor
    metrics: LearnerMetrics
    clock: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Parts:
    """What runs."""

    service: LearnerService
    intake: Intake


class Storage:
    """Where versions and sets of samples are kept. Making one touches nothing.

    Parameters
    ----------
    settings : LearnerSettings
        Names the registry and the folder of cached files.
    registry : ModelRegistry
        Signs what is published.
    """

    def __init__(self, settings: LearnerSettings, registry: ModelRegistry) -> None:
        self._where = settings.registry.uri, settings.registry.options, settings.registry.model_name
        uri, options, _ = self._where
        self.artifacts = ArtifactStore(uri, options, cache_dir=settings.checkpoint.folder / "cache")
        self.registry = registry
        self.checkpoints = CheckpointStore(settings.checkpoint.folder / "checkpoints", settings.checkpoint.keep)

    def samples(self, kind: str) -> SampleSet:
        """Return one of the sets of the model line."""
        return SampleSet(*self._where, kind, self.artifacts)

    def first(self) -> tuple[list[Sample], list[Sample]]:
        """Return what a model made before any label streamed was trained on, and what was held out. Blocking."""
        return self.samples(FIRST_TRAINING).load(), self.samples(FIRST_HELD_OUT).load()


def make_reader(settings: LearnerSettings) -> LabelReader:
    """Return what reads labels, within the limits that are set."""
    limits = FrameLimits(max_bytes=settings.intake.max_frame_bytes, max_pixels=settings.intake.max_frame_pixels)
    files = AtomicFiles(settings.registry.uri, settings.registry.options)
    return LabelReader(
        limits,
        settings.classes,
        claim_checks(files, limits.max_bytes),
        max_label_bytes=settings.intake.max_label_bytes,
        gain_step_db=settings.domains.gain_step_db,
    )


async def assemble(
    settings: LearnerSettings,
    storage: Storage,
    memories: Memories,
    outside: Outside,
    *,
    books: Books,
    standings: Standings,
    revoked: Revoked,
    holder: str,
    epoch: int,
) -> Parts:
    """Build everything for one term of leading, which begins under `epoch` as `holder`."""
    patiently, executor, metrics = outside.patiently, outside.executor, outside.metrics
    await asyncio.to_thread(_set_up_torch, settings)
    registry = storage.registry
    releaser = Releaser(settings, storage.artifacts, registry)
    served = Served(settings, registry, releaser)
    watch = RollbackWatch(settings.release.rollback_window, settings.release.rollback_margin)
    trainer = await asyncio.to_thread(make_trainer, settings)
    deterministic = settings.training.deterministic
    beginning = await patiently(
        "registry",
        lambda: asyncio.to_thread(
            find_beginning, registry, storage.checkpoints, holder, revoked, _explain, deterministic=deterministic
        ),
    )
    serving = beginning.serving
    if serving is not None:
        await asyncio.to_thread(served.take, serving.version)
        watch.serves(serving.version.model.version, fallback(serving))
        metrics.model_version.set(serving.version.model.version)
        # The process may have died between recording and announcing; a repetition is ignored by its sequence.
        await outside.announce(serving)
    resumed = await asyncio.to_thread(_resume, beginning, books, memories, trainer, releaser)
    logits = StoredLogits()
    if beginning.checkpoint is not None and STORED_LOGITS in beginning.checkpoint.state.values:
        logits.restore(beginning.checkpoint.state.part(STORED_LOGITS))
    extras = await asyncio.to_thread(make_extras, settings, logits)
    # Only a deterministic learner makes its memory anew after each crash, and must then find again what it knew.
    kept = logits if deterministic and trainer.stores_logits else None
    remembering = Remembering(memories.episodic, extras, kept)
    reader = make_reader(settings)
    await _repair_memory(
        settings,
        storage,
        memories,
        beginning,
        reader=reader,
        extras=extras,
        books=books,
        revoked=revoked,
        clock=outside.clock,
    )
    validation = ValidationSet(memories.validation)
    await validation.load()
    if beginning.checkpoint is None:
        resumed = {"domains": tuple((await memories.episodic.stats()).domains)}
        books.changes.adopt(resumed["domains"])
    cursor = await memories.episodic.offsets()
    aside = np.random.default_rng(settings.seed + 2)

    learning = Learning(
        trainer,
        draw=memories.episodic.draw,
        peek=lambda policy: memories.episodic.draw(policy, aside),
        settings=settings.training,
        executor=executor,
        metrics=metrics,
        remember=remembering.store_logits,
        logits=kept,
        **resumed,
    )
    crash = CrashPoints(settings.crash_at)
    probe = GradientProbe(
        settings.inspectors,
        trainer,
        draw=memories.episodic.draw,
        executor=executor,
        size=settings.trainer.crops.size,
        multiple=settings.model.size_multiple,
        seed=settings.seed + 3,
    )
    guard: InspectorGuard | None = None
    if settings.inspectors.quarantine:
        guard = InspectorGuard(
            settings.inspectors,
            probe,
            standings=standings,
            publish=outside.decide,
            metrics=metrics,
            clock=outside.clock,
        )
        _resume_guard(beginning, guard)

    async def read(record: InRecord) -> tuple[Label, bool]:
        return await patiently("read", lambda: asyncio.to_thread(reader.read, record, outside.clock()))

    intake = Intake(
        read=read,
        books=books,
        holdout=HoldoutRule(settings.holdout),
        validation=validation,
        admit=remembering.admit,
        refuse=outside.refuse,
        prequential=Prequential(len(settings.classes)),
        watch=watch,
        standings=standings,
        guard=guard,
        cursor=cursor,
        metrics=metrics,
        crash=crash,
    )
    releasing = Releasing(
        settings=settings,
        learning=learning,
        books=books,
        validation=validation,
        served=served,
        watch=watch,
        releaser=releaser,
        registry=registry,
        golden=storage.samples(GOLDEN),
        unwanted=lambda sample: _position(sample) in revoked.positions,
        without=revoked.inspectors,
        epoch=epoch,
        announce=outside.announce,
        executor=executor,
        metrics=metrics,
        clock=outside.clock,
        crash=crash,
    )
    service = LearnerService(
        settings=settings,
        learning=learning,
        releasing=releasing,
        books=books,
        intake=intake,
        memory=memories.episodic,
        validation=validation,
        watch=watch,
        guard=guard,
        checkpoints=storage.checkpoints,
        identity={
            "epoch": epoch,
            "without": sorted(revoked.inspectors),
            "memory_rules": memory_rules(settings),
        },
        trained=_is_trained(beginning),
        refuse=outside.refuse,
        commit=outside.commit,
        executor=executor,
        metrics=metrics,
        clock=outside.clock,
        crash=crash,
    )
    return Parts(service, intake)


def _set_up_torch(settings: LearnerSettings) -> None:
    torch.set_num_threads(settings.training.threads)
    torch.manual_seed(settings.seed)
    torch.use_deterministic_algorithms(settings.training.deterministic)


def _explain(reason: str) -> None:
    _log.warning("the last checkpoint is not used: %s", reason)


def _is_trained(beginning: Beginning) -> bool:
    checkpoint = beginning.checkpoint
    return bool(checkpoint.extra["trained"]) if checkpoint else beginning.version is not None


def _resume(
    beginning: Beginning, books: Books, memories: Memories, trainer: Trainer, releaser: Releaser
) -> dict[str, Any]:
    """Take over weights and books; return what the training steps go on with."""
    checkpoint, version = beginning.checkpoint, beginning.version
    if checkpoint is not None:
        trainer.restore(checkpoint.state)
        books.restore(checkpoint.position, checkpoint.extra)
        memories.episodic.restore_rng(checkpoint.extra["memory_rng"])
        _log.info("continuing from %d labels learned", books.learned)
        return {"domains": tuple(checkpoint.extra["domains"]), "idle_steps": checkpoint.extra["idle_steps"]}
    if version is not None:
        load_weights(trainer, releaser.tensors(version))
        books.begin_with(version)
        _log.info("continuing from v%d", version.model.version)
    return {}


def _resume_guard(beginning: Beginning, guard: InspectorGuard) -> None:
    # A checkpoint may be from before this was written down, or from when nobody was set aside unasked.
    known = None if beginning.checkpoint is None else beginning.checkpoint.extra.get("inspectors")
    if known is not None:
        guard.restore(known)


async def _repair_memory(
    settings: LearnerSettings,
    storage: Storage,
    memories: Memories,
    beginning: Beginning,
    *,
    reader: LabelReader,
    extras: Extras,
    books: Books,
    revoked: Revoked,
    clock: Callable[[], datetime],
) -> None:
    """Rebuild the memories where they do not belong to the weights."""
    if not await _needs_rebuilding(settings, memories, beginning, revoked):
        return
    training, held_out = await asyncio.to_thread(storage.first)
    admitted = await rebuild_memory(
        settings,
        memories,
        reader,
        HoldoutRule(settings.holdout),
        clock,
        first=(training, held_out),
        until=beginning.read,
        wanted=lambda label: (
            label.inspector_id not in revoked.inspectors and strike_key(label.sample) not in books.struck
        ),
        placed=books.changes.placed,
        extras=extras,
    )
    _log.info("the memory was rebuilt from %d labels", admitted)


async def _needs_rebuilding(
    settings: LearnerSettings, memories: Memories, beginning: Beginning, revoked: Revoked
) -> bool:
    # Their labels may lie in the memory beyond what the weights have learned.
    if revoked.positions and not revoked.inspectors <= beginning.without:
        return True
    checkpoint = beginning.checkpoint
    if checkpoint is not None and checkpoint.extra.get("rebuild", False):
        return True
    rules = memory_rules(settings)
    if checkpoint is not None and checkpoint.extra.get("memory_rules", rules) != rules:
        _log.warning("the memory was made by other rules")
        return True
    topic = settings.kafka.topic(LABELS)
    stored, held_out = await memories.episodic.offsets(), await memories.validation.offsets()
    if checkpoint is not None:
        cursor = checkpoint.position.memory_cursor
        if any(stored.get((topic, int(key.rsplit("-", 1)[1])), 0) < offset for key, offset in cursor.items()):
            _log.warning("Redis has lost labels that it had at the last checkpoint")
            return True
    # What was admitted after the checkpoint must not be rehearsed before it is read again.
    ahead = [o > beginning.read.get(p, 0) for offsets in (stored, held_out) for (_, p), o in offsets.items()]
    return settings.training.deterministic and any(ahead)


def _position(sample: Sample) -> tuple[int, int] | None:
    return (sample.source.partition, sample.source.offset) if sample.source else None
