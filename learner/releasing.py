"""Judges what was learned, releases it, and takes it back: each under the epoch of this learner."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from concurrent.futures import Executor
from datetime import datetime
from functools import partial
from typing import TypeVar

from learner.books import Books
from learner.export import ParityError
from learner.holdout import ValidationSet
from learner.learning import Learning
from learner.releaser import Learned, Releaser, Stopwatch
from learner.rollback import RollbackWatch
from learner.sample_sets import SampleSet
from learner.served import Served
from learner.settings import LearnerSettings
from learner.telemetry import LearnerMetrics
from memory.registry import ModelRegistry
from memory.samples import Sample
from schemas.events import ModelReleased, ReleaseKind
from stream.crash_points import CrashPoints

_log = logging.getLogger(__name__)
T = TypeVar("T")


class Releasing:
    """The way from the network as it is to what serves, and back.

    Parameters
    ----------
    settings : LearnerSettings
        When a candidate is judged on what.
    learning, books, validation : Learning, Books, ValidationSet
        What was learned, and on what it is judged.
    served, watch : Served, RollbackWatch
        What serves, and whether it should go on.
    releaser, registry, golden : Releaser, ModelRegistry, SampleSet
        Where versions go.
    unwanted : callable
        True of a sample that must no longer judge anything.
    without : collection of str
        Revoked inspectors whose labels the network has not learned.
    epoch : int
        This learner's.
    announce : callable
        Returns when the brokers have the announcement.
    executor, metrics, clock : Executor, LearnerMetrics, callable
        Of one thread; counts; the time.
    crash : CrashPoints
        Places: recorded, announced.
    """

    def __init__(
        self,
        *,
        settings: LearnerSettings,
        learning: Learning,
        books: Books,
        validation: ValidationSet,
        served: Served,
        watch: RollbackWatch,
        releaser: Releaser,
        registry: ModelRegistry,
        golden: SampleSet,
        unwanted: Callable[[Sample], bool],
        without: Collection[str],
        epoch: int,
        announce: Callable[[ModelReleased], Awaitable[None]],
        executor: Executor,
        metrics: LearnerMetrics,
        clock: Callable[[], datetime],
        crash: CrashPoints,
    ) -> None:
        self._settings = settings
        self._learning = learning
        self._books = books
        self._validation = validation
        self._served = served
        self._watch = watch
        self._releaser = releaser
        self._registry = registry
        self._golden_store = golden
        self._golden: list[Sample] = []
        self._unwanted = unwanted
        self._without = without
        self._epoch = epoch
        self._announce = announce
        self._executor = executor
        self._metrics = metrics
        self._clock = clock
        self._crash = crash

    async def prepare(self) -> None:
        """Read the golden set and export the network's graph once."""
        await self._load_golden()
        await self._run(self._releaser.prepare)

    async def attempt(self) -> bool:
        """Judge the network as it is now, and release and announce it if it passes; tell whether it did.

        Raises
        ------
        FencedError
            If another learner has taken over; nothing was released then.
        """
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
                candidate, verdict = await self._run(
                    partial(self._served.choose, candidate, self._golden, newest, past)
                )
            self._metrics.gate_seconds.observe(verdict.seconds)
            if not verdict.passed:
                self._refused("refused")
                learned = self._books.in_model
                await self._run(partial(self._registry.record_refusal, verdict, parent=parent, labels_learned=learned))
                return False
        frames = [*newest, *self._golden, *await self._learning.some(self._settings.release.parity_frames)]
        learned_labels = Learned(
            labels=self._books.in_model,
            until=self._books.progress.offsets(),
            read=self._books.progress.positions(),
            without=self._without,
            created_at=created_at,
            metrics=self._metrics_of_release(),
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
                    epoch=self._epoch,
                )
            )
        except ParityError as error:
            _log.error("the candidate is not released: %s", error)
            self._refused("parity_failed")
            return False
        self._crash.reach("recorded")
        with timer.part("announce"):
            await self._announce(released)
        self._crash.reach("announced")
        self._served.succeed(released.version, candidate)
        self._note(released, timer.seconds)
        self._watch.serves(released.version.model.version, parent)
        return True

    async def look_back(self) -> bool:
        """Take back what the newest labels speak against; tell whether something was.

        Training goes on from the weights returned to, with a fresh optimiser:
        what led to the bad release is not continued. Its labels stay in the
        memory and are rehearsed, so nothing is lost but the drift.

        Raises
        ------
        FencedError
            If another learner has taken over; nothing was taken back then.
        """
        found = await self._run(partial(self._watch.compare, self._served.scores_of))
        if found is None or found.comparison.passed:
            return False
        comparison = found.comparison
        reason = (
            f"up to v{self._served.number}, Dice was {comparison.candidate:.3f} on the newest {comparison.samples} "
            f"labels, v{found.before} reaches {comparison.serving:.3f}"
        )
        released = await self._run(partial(self._registry.roll_back, reason, found.before, epoch=self._epoch))
        await self._announce(released)
        _log.warning("rolled back: %s", reason)
        await self._run(partial(self._served.take, released.version))
        await self._learning.reset(await self._run(partial(self._releaser.tensors, released.version)))
        self._books.in_model = released.version.labels_learned
        self._watch.serves(released.version.model.version, None)
        self._metrics.rollbacks.inc()
        self._metrics.model_version.set(released.version.model.version)
        return True

    async def _keep_golden(self) -> None:
        """Fix the golden set as soon as labels are held out, if any may be stored; who came first wins."""
        if self._settings.memory.store == "process":
            return
        samples = self._validation.newest(self._settings.evaluation.golden)
        if samples:
            await self._run(partial(self._golden_store.keep, samples))
            await self._load_golden()

    async def _load_golden(self) -> None:
        self._golden = [s for s in await self._run(self._golden_store.load) if not self._unwanted(s)]

    def _refused(self, verdict: str) -> None:
        self._metrics.releases.labels(verdict).inc()
        _log.info("a candidate after v%s is not released: %s", self._served.number, verdict)

    def _metrics_of_release(self) -> dict[str, float]:
        ages = sorted((u.learned_at - u.labelled_at).total_seconds() for u in self._books.unreleased)
        metrics = {"labels_since_parent": float(len(ages))}
        if ages:
            metrics["label_to_learned_p50_seconds"] = ages[len(ages) // 2]
        return metrics

    def _note(self, released: ModelReleased, seconds: Mapping[str, float]) -> None:
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

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


def fallback(serving: ModelReleased) -> int | None:
    """Return what to return to if what serves proves bad: its parent, unless it was itself returned to."""
    return serving.version.parent if serving.kind is ReleaseKind.RELEASE else None
