"""The learner's turns: what is learned, released, taken back and written down, and when."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Protocol, TypeVar

from learner.books import Books, strike_key
from learner.bootstrap import train_first_model
from learner.checkpoint import Checkpoint, CheckpointStore
from learner.holdout import ValidationSet
from learner.inspectors import InspectorGuard
from learner.intake import Intake
from learner.labels import Label
from learner.learning import DivergedBatchError, Learning
from learner.releasing import Releasing
from learner.rollback import RollbackWatch
from learner.settings import LearnerSettings
from learner.telemetry import LearnerMetrics
from memory.stores.base import MemoryStats
from schemas.errors import WeldstreamError
from stream.crash_points import CrashPoints
from stream.records import InRecord
from stream.waiting import wait_at_most

_log = logging.getLogger(__name__)
T = TypeVar("T")

_POLL_SECONDS = 0.2


class StartOverError(WeldstreamError):
    """What is in this process is to be given up for what the last checkpoint, or a version, says."""

    reason = "start_over"


class RepeatedDivergenceError(WeldstreamError):
    """Batch after batch diverges: the labels are not to blame."""

    reason = "repeated_divergence"


class Memory(Protocol):
    """What of the episodic memory goes into a checkpoint."""

    async def offsets(self) -> dict[tuple[str, int], int]:
        """Return the next offset by (topic, partition)."""
        ...

    async def stats(self) -> MemoryStats:
        """Return what is stored, by domain."""
        ...

    def rng_state(self) -> dict[str, Any]:
        """Return where the draws stand."""
        ...


class LearnerService:
    """Takes turns at learning, rehearsing, releasing and writing down.

    By default turns follow each other as time allows, beside the intake. A
    deterministic learner takes them between two records, by count alone:
    then all that is in the weights is a function of the labels.

    Parameters
    ----------
    settings : LearnerSettings
        When to do what.
    learning, releasing : Learning, Releasing
        Take the steps, and make releases of them.
    books, intake : Books, Intake
        What waits, and who says when something came.
    memory, validation, watch : Memory, ValidationSet, RollbackWatch
        For checkpoints, for the first model, and whether to look back.
    guard : InspectorGuard or None
        Shown what is about to be learned; None where nobody is set aside unasked.
    checkpoints : CheckpointStore
        Where the training state goes.
    identity : mapping
        Written into each checkpoint: whose it is, and what was left out of it.
    trained : bool
        Whether there is a model to go on from.
    refuse : callable
        Sends a record to the dead letters and returns when it is there.
    commit : callable
        Tells Kafka the offsets of a checkpoint, which shows the lag and decides nothing.
    executor, metrics, clock : Executor, LearnerMetrics, callable
        Of one thread; counts; the time.
    crash : CrashPoints
        Places: learned, checkpointed.
    """

    def __init__(
        self,
        *,
        settings: LearnerSettings,
        learning: Learning,
        releasing: Releasing,
        books: Books,
        intake: Intake,
        memory: Memory,
        validation: ValidationSet,
        watch: RollbackWatch,
        guard: InspectorGuard | None,
        checkpoints: CheckpointStore,
        identity: Mapping[str, Any],
        trained: bool,
        refuse: Callable[[InRecord, WeldstreamError], Awaitable[None]],
        commit: Callable[[Mapping[int, int]], Awaitable[None]],
        executor: Executor,
        metrics: LearnerMetrics,
        clock: Callable[[], datetime],
        crash: CrashPoints,
    ) -> None:
        self._settings = settings
        self._learning = learning
        self._releasing = releasing
        self._books = books
        self._intake = intake
        self._memory = memory
        self._validation = validation
        self._watch = watch
        self._guard = guard
        self._checkpoints = checkpoints
        self._identity = identity
        self._trained = trained
        self._refuse = refuse
        self._commit = commit
        self._executor = executor
        self._metrics = metrics
        self._clock = clock
        self._crash = crash
        self._stopping = False
        self._attempted = time.monotonic()
        self._since_attempt = len(books.unreleased)

    async def prepare(self) -> None:
        """Make ready to release, and write down from where this process goes on."""
        await self._releasing.prepare()
        await self.save()

    def stop(self) -> None:
        """Finish the step under way and let ``run`` return."""
        self._stopping = True
        self._intake.arrived.set()

    async def run(self) -> None:
        """Learn until stopped, as labels and time allow."""
        while not self._stopping:
            await self._turn()

    async def catch_up(self) -> None:
        """Take all turns that are due by what was read, and none that is due by time."""
        if not self._trained:
            if self._enough_for_a_model():
                await self._first_model()
            return
        if self._watch.due:
            await self._look_back()
        while group := self._books.whole_group(self._settings.training.labels_per_step):
            await self._learn(group)
            while self._learning.can_rehearse:
                await self._rehearse()
            if self._since_attempt >= self._settings.release.labels:
                await self._release()
            await self._save_where_due()

    async def _turn(self) -> None:
        self._intake.arrived.clear()
        if not self._trained:
            await (self._first_model() if self._enough_for_a_model() else self._wait())
            return
        if self._watch.due:
            await self._look_back()
        if self._books.pending:
            await self._learn(self._books.group(self._settings.training.labels_per_step))
        elif self._learning.can_rehearse:
            await self._rehearse()
        else:
            await self._wait()
        release, waited = self._settings.release, time.monotonic() - self._attempted
        if self._since_attempt >= release.labels or (self._since_attempt > 0 and waited >= release.seconds):
            await self._release()
        await self._save_where_due()

    async def _wait(self) -> None:
        await wait_at_most(self._intake.arrived, _POLL_SECONDS)

    def _enough_for_a_model(self) -> bool:
        labels = len(self._books.pending) + len(self._validation)
        return bool(self._books.pending) and labels >= self._settings.bootstrap.labels

    async def _first_model(self) -> None:
        labels = list(self._books.pending.values())
        samples = [label.sample for label in labels]
        steps = await self._learning.pretrain(samples, partial(train_first_model, settings=self._settings))
        _log.info("first model: %d steps on %d labels", steps, len(labels))
        self._settle(labels)
        self._trained = True
        await self._release()
        await self.save()

    async def _learn(self, group: Sequence[Label]) -> None:
        if self._guard is not None:
            await self._guard.look_closer(group, self._learning.domains)
        try:
            await self._learning.learn([label.sample for label in group])
        except DivergedBatchError as error:
            await self._quarantine(group, error)
        self._settle(group)
        self._since_attempt += len(group)
        self._crash.reach("learned")

    async def _rehearse(self) -> None:
        try:
            await self._learning.rehearse()
        except DivergedBatchError as error:
            await self._quarantine((), error)

    def _settle(self, labels: Sequence[Label]) -> None:
        now = self._clock()
        for label in labels:
            self._books.settle_learned(label, now)
            self._metrics.label_age.labels("learned").observe((now - label.labelled_at).total_seconds())
        self._metrics.labels.labels("learned").inc(len(labels))
        self._metrics.pending.set(len(self._books.pending))

    async def _release(self) -> None:
        self._since_attempt = 0
        if await self._releasing.attempt():
            await self.save()
        self._attempted = time.monotonic()

    async def _look_back(self) -> None:
        if await self._releasing.look_back():
            await self.save()

    async def _quarantine(self, group: Sequence[Label], error: DivergedBatchError) -> None:
        """Set the batch aside for good, and give up the weights for those of the last checkpoint.

        New labels go to the dead letters; where there was none, it was one of
        the rehearsed samples. Both are struck: the memory is rebuilt without
        them. What was learned since the checkpoint is read and learned again.
        """
        for label in group:
            await self._refuse(label.record, error)
        struck = [strike_key(sample) for sample in ([label.sample for label in group] or error.rehearsed)]
        self._metrics.labels.labels("diverged").inc(len(group))
        last = await self._run(self._checkpoints.load_latest)
        assert last is not None, "a checkpoint is written before anything is learned"
        divergences = self._books.divergences + 1
        extra = {**last.extra, "divergences": divergences, "rebuild": True}
        extra["struck"] = [*last.extra["struck"], *struck]
        await self._run(lambda: self._checkpoints.save(replace(last, extra=extra)))
        if divergences > self._settings.training.most_divergences:
            raise RepeatedDivergenceError(
                f"{divergences} batches diverged since the last checkpoint; look at trainer.learning_rate and at what "
                f"is among the dead letters, then start again: {error}"
            )
        raise StartOverError(f"a batch of {len(struck)} samples is quarantined: {error}") from error

    async def _save_where_due(self) -> None:
        if self._books.since_checkpoint >= self._settings.checkpoint.every_labels:
            await self.save()

    async def save(self) -> None:
        """Write a checkpoint, then tell Kafka its offsets."""
        began = time.perf_counter()
        cursor = await self._memory.offsets()
        await self._show_memory()
        if self._books.since_checkpoint:
            self._books.divergences = 0
        # From here to the next await: weights rest, and what the intake settled is in both or in none.
        position = self._books.position(self._learning.trainer.steps, cursor)
        extra = {
            **self._books.state(),
            **self._learning.state(),
            **self._identity,
            "memory_rng": self._memory.rng_state(),
            "trained": self._trained,
            "inspectors": None if self._guard is None else self._guard.state(),
        }
        offsets, logits = self._books.progress.offsets(), self._learning.logits()

        def write() -> None:
            self._checkpoints.save(Checkpoint(position, self._learning.trainer.state().beside(logits), extra))

        await self._run(write)
        self._crash.reach("checkpointed")
        self._books.since_checkpoint = 0
        await self._commit(offsets)
        self._metrics.checkpoint_seconds.observe(time.perf_counter() - began)

    async def _show_memory(self) -> None:
        domains = (await self._memory.stats()).domains
        for name, stats in domains.items():
            self._metrics.memory_samples.labels(name).set(stats.stored)
        self._metrics.memory_bytes.set(sum(stats.bytes for stats in domains.values()))

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)
