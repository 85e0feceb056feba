"""The learner: learns what the intake queued, and releases, takes back and writes down what came of it."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from datetime import datetime
from functools import partial
from typing import Any, Protocol, TypeVar

from learner.books import Books
from learner.bootstrap import train_first_model
from learner.checkpoint import Checkpoint, CheckpointStore
from learner.export import ParityError
from learner.golden import GoldenSet
from learner.holdout import ValidationSet
from learner.intake import Intake
from learner.learning import Learning
from learner.releaser import Learned, Releaser, Stopwatch
from learner.rollback import RollbackWatch
from learner.served import Served
from learner.settings import LearnerSettings
from learner.telemetry import LearnerMetrics
from memory.registry import ModelRegistry
from memory.samples import Sample
from memory.stores.base import MemoryStats
from schemas.events import ModelReleased, ReleaseKind
from stream.crash_points import CrashPoints

_log = logging.getLogger(__name__)
T = TypeVar("T")

_POLL_SECONDS = 0.2


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
    """Learns until stopped; all that is blocking runs in the executor's one thread.

    After a roll-back training goes on from the parent's weights, with a fresh
    optimiser: what led to the bad release is not continued. Its labels stay
    in the memory and are rehearsed, so nothing is lost but the drift.

    Parameters
    ----------
    settings : LearnerSettings
        When to do what.
    learning : Learning
        Takes the steps.
    books, intake : Books, Intake
        What waits, and who says when something came.
    memory, validation : Memory, ValidationSet
        For checkpoints and for the gate.
    served, watch : Served, RollbackWatch
        What serves, and whether it should go on.
    releaser, registry, golden : Releaser, ModelRegistry, GoldenSet
        Where versions go.
    checkpoints : CheckpointStore
        Where the training state goes.
    announce : callable
        Returns when the brokers have the announcement.
    commit : callable
        Tells Kafka the offsets of a checkpoint, which shows the lag and decides nothing.
    executor, metrics, clock : Executor, LearnerMetrics, callable
        Of one thread; counts; the time.
    crash : CrashPoints
        Places: learned, recorded, announced, checkpointed.
    """

    def __init__(
        self,
        *,
        settings: LearnerSettings,
        learning: Learning,
        books: Books,
        intake: Intake,
        memory: Memory,
        validation: ValidationSet,
        served: Served,
        watch: RollbackWatch,
        releaser: Releaser,
        registry: ModelRegistry,
        golden: GoldenSet,
        checkpoints: CheckpointStore,
        announce: Callable[[ModelReleased], Awaitable[None]],
        commit: Callable[[Mapping[int, int]], Awaitable[None]],
        executor: Executor,
        metrics: LearnerMetrics,
        clock: Callable[[], datetime],
        crash: CrashPoints,
    ) -> None:
        self._settings = settings
        self._learning = learning
        self._books = books
        self._intake = intake
        self._memory = memory
        self._validation = validation
        self._served = served
        self._watch = watch
        self._releaser = releaser
        self._registry = registry
        self._golden_store = golden
        self._golden: list[Sample] = []
        self._checkpoints = checkpoints
        self._announce = announce
        self._commit = commit
        self._executor = executor
        self._metrics = metrics
        self._clock = clock
        self._crash = crash
        self._stopping = False
        self._attempted = time.monotonic()
        self._since_attempt = len(books.unreleased)

    def stop(self) -> None:
        """Finish the step under way, write a checkpoint, and let ``run`` return."""
        self._stopping = True
        self._intake.arrived.set()

    async def run(self) -> None:
        """Learn until stopped."""
        self._golden = await self._run(self._golden_store.load)
        await self._run(self._releaser.prepare)
        while not self._stopping:
            await self._turn()
        await self.save()

    async def _turn(self) -> None:
        self._intake.arrived.clear()
        if self._served.version is None:
            labels = len(self._books.pending) + len(self._validation)
            if self._books.pending and labels >= self._settings.bootstrap.labels:
                await self._first_model()
            else:
                await self._wait()
            return
        if self._watch.due:
            await self._look_back()
        if self._books.pending:
            await self._learn()
        elif self._learning.can_rehearse:
            await self._learning.rehearse()
        else:
            await self._wait()
        if self._release_is_due():
            await self._release()
        if self._books.since_checkpoint >= self._settings.checkpoint.every_labels:
            await self.save()

    async def _wait(self) -> None:
        try:
            await asyncio.wait_for(self._intake.arrived.wait(), _POLL_SECONDS)
        except TimeoutError:
            return

    async def _learn(self) -> None:
        group = self._books.group(self._settings.training.labels_per_step)
        learned = await self._learning.learn([label.sample for label in group])
        now = self._clock()
        for label in group:
            if learned:
                self._books.settle_learned(label, now)
                self._metrics.label_age.labels("learned").observe((now - label.labelled_at).total_seconds())
            else:
                self._books.settle(label)
        self._metrics.labels.labels("learned" if learned else "diverged").inc(len(group))
        self._metrics.pending.set(len(self._books.pending))
        self._since_attempt += len(group) if learned else 0
        self._crash.reach("learned")

    def _release_is_due(self) -> bool:
        release = self._settings.release
        waited = time.monotonic() - self._attempted
        return self._since_attempt >= release.labels or (self._since_attempt > 0 and waited >= release.seconds)

    async def _first_model(self) -> None:
        labels = list(self._books.pending.values())
        samples = [label.sample for label in labels]
        steps = await self._learning.pretrain(samples, partial(train_first_model, settings=self._settings))
        _log.info("first model: %d steps on %d labels", steps, len(labels))
        now = self._clock()
        for label in labels:
            self._books.settle_learned(label, now)
        self._metrics.labels.labels("learned").inc(len(labels))
        self._metrics.pending.set(len(self._books.pending))
        await self._release()

    async def _release(self) -> None:
        """Judge the network as it is now and announce it if it passes."""
        self._since_attempt = 0
        if not self._golden:
            await self._keep_golden()
        timer = Stopwatch()
        with timer.part("snapshot"):
            created_at = self._clock()
            candidate = await self._run(partial(self._served.freeze, self._learning.trainer.averaged))
        parent, verdict = self._served.number, None
        newest = self._validation.newest(self._settings.evaluation.newest)
        if parent is not None:
            past = self._validation.of_domains(self._learning.domains[:-1], self._settings.evaluation.past_per_domain)
            with timer.part("gate"):
                verdict = await self._run(partial(self._served.judge, candidate, self._golden, newest, past))
            self._metrics.gate_seconds.observe(verdict.seconds)
            if not verdict.passed:
                await self._refused("refused")
                learned = self._books.in_model
                await self._run(partial(self._registry.record_refusal, verdict, parent=parent, labels_learned=learned))
                return
        frames = [*newest, *self._golden, *await self._learning.some(self._settings.release.parity_frames)]
        learned_labels = Learned(
            labels=self._books.in_model,
            until=self._books.progress.offsets(),
            created_at=created_at,
            metrics=self._release_metrics(),
        )
        try:
            released = await self._run(
                partial(
                    self._releaser.publish,
                    candidate.model,
                    frames,
                    learned_labels,
                    parent=parent,
                    gate=verdict,
                    watch=timer,
                )
            )
        except ParityError as error:
            _log.error("the candidate is not released: %s", error)
            await self._refused("parity_failed")
            return
        self._crash.reach("recorded")
        with timer.part("announce"):
            await self._announce(released)
        self._crash.reach("announced")
        self._served.succeed(released.version, candidate)
        self._announced(released, timer.seconds)
        self._watch.serves(released.version.model.version, parent)
        await self.save()
        self._attempted = time.monotonic()

    async def _refused(self, verdict: str) -> None:
        self._metrics.releases.labels(verdict).inc()
        self._attempted = time.monotonic()
        _log.info("a candidate after v%s is not released: %s", self._served.number, verdict)

    def _release_metrics(self) -> dict[str, float]:
        ages = sorted((u.learned_at - u.labelled_at).total_seconds() for u in self._books.unreleased)
        metrics = {"labels_since_parent": float(len(ages))}
        if ages:
            metrics["label_to_learned_p50_seconds"] = ages[len(ages) // 2]
        return metrics

    def _announced(self, released: ModelReleased, seconds: Mapping[str, float]) -> None:
        """Write down how long the release took, and how each label came into it."""
        number, now = released.version.model.version, self._clock()
        for part, value in seconds.items():
            self._metrics.release_seconds.labels(part).observe(value)
        for label in self._books.unreleased:
            self._metrics.label_age.labels("announced").observe((now - label.labelled_at).total_seconds())
        record = {
            "version": number,
            "announced_at": now.isoformat(),
            "seconds": {part: round(value, 4) for part, value in seconds.items()},
            "labels": [
                [u.label_id, u.labelled_at.isoformat(), u.received_at.isoformat(), u.learned_at.isoformat()]
                for u in self._books.unreleased
            ],
        }
        _log.info("released %s", json.dumps(record))
        self._books.unreleased = []
        self._metrics.releases.labels("released").inc()
        self._metrics.model_version.set(number)

    async def _look_back(self) -> None:
        found = await self._run(partial(self._watch.compare, self._served.scores_of))
        if found is None or found.comparison.passed:
            return
        comparison = found.comparison
        reason = (
            f"up to v{self._served.number}, Dice was {comparison.candidate:.3f} on the newest {comparison.samples} "
            f"labels, v{found.before} reaches {comparison.serving:.3f}"
        )
        released = await self._run(partial(self._registry.roll_back, reason, found.before))
        await self._announce(released)
        _log.warning("rolled back: %s", reason)
        await self._run(partial(self._served.take, released.version))
        await self._learning.reset(await self._run(partial(self._releaser.tensors, released.version)))
        self._books.in_model = released.version.labels_learned
        self._watch.serves(released.version.model.version, None)
        self._metrics.rollbacks.inc()
        self._metrics.model_version.set(released.version.model.version)
        await self.save()

    async def _keep_golden(self) -> None:
        """Fix the golden set as soon as labels are held out; who came first wins."""
        samples = self._validation.newest(self._settings.evaluation.golden)
        if samples:
            await self._run(partial(self._golden_store.keep, samples))
            self._golden = await self._run(self._golden_store.load)

    async def save(self) -> None:
        """Write a checkpoint, then tell Kafka its offsets."""
        began = time.perf_counter()
        cursor = await self._memory.offsets()
        await self._show_memory()
        # From here to the next await: weights rest, and what the intake settled is in both or in none.
        position = self._books.position(self._learning.trainer.steps, cursor)
        extra = {
            **self._books.state(),
            "domains": list(self._learning.domains),
            "memory_rng": self._memory.rng_state(),
            "version": self._served.number,
        }
        offsets = self._books.progress.offsets()

        def write() -> None:
            self._checkpoints.save(Checkpoint(position, self._learning.trainer.state(), extra))

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


def fallback(serving: ModelReleased) -> int | None:
    """Return what to return to if what serves proves bad: its parent, unless it was itself returned to."""
    return serving.version.parent if serving.kind is ReleaseKind.RELEASE else None
