"""One job under way: domains are learned, and judged between and within."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import psutil
import torch
from torch import nn

from learner.averaging import RunningAverage
from learner.lab.augment import augmented
from learner.lab.avalanche import AvalancheContestant
from learner.lab.contestants import OwnContestant
from learner.lab.judging import judge
from learner.lab.metrics import Look
from learner.lab.panel import Panel
from learner.lab.results import Domain
from learner.lab.schedule import batches_of, joint_batches, number_of_batches
from learner.lab.serving import Server
from learner.lab.settings import AvalancheConfig, Job, JointConfig
from learner.lab.streams import Samples, Stream
from learner.strategies import Batch

_MEMORY_EVERY = 50
"""Steps between looks at the resident memory."""


class Log(Protocol):
    """Takes scalars as they are measured, such as tensorboardX's ``SummaryWriter``."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> object:
        """Take one number."""
        ...


@dataclass
class Course:
    """One job under way."""

    job: Job
    stream: Stream
    model: nn.Module
    order: torch.Generator
    panel: Panel | None
    log: Log | None
    on_step: Callable[[int, int], None]
    steps: int = 0
    samples: int = 0
    looks: list[Look] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    domain_seconds: list[float] = field(default_factory=list)
    server: Server | None = None

    def __post_init__(self) -> None:
        job, stream = self.job, self.stream
        domains = len(stream.domains)
        self.matrix = np.full((domains + 1, domains), np.nan)
        self.total = sum(number_of_batches(d.train, job.schedule) for d in stream.domains)
        self.total *= job.schedule.steps_per_batch
        self.resident = self.resident_at_start = psutil.Process().memory_info().rss
        if job.releases is not None and not isinstance(job.method.strategy, JointConfig | AvalancheConfig):
            self.server = Server(job.releases, stream, self.model, job.evaluation.samples)
        averaging = job.method.averaging
        self._average = RunningAverage(self.model, averaging) if averaging else None
        self._shown = self.model if self._average is None else self._average.model
        self._watched = [self._judged(i).first(job.evaluation.samples) for i in range(domains)]

    def learn_in_order(self, contestant: OwnContestant) -> None:
        """Learn domain after domain and judge after each."""
        if self.job.evaluation.ahead:
            self.judge_all(0)
        for index, domain in enumerate(self.stream.domains):
            contestant.begin_domain(index)
            before = len(self.seconds)
            for batch in batches_of(domain.train, self.job.schedule, self.order):
                self._learn(contestant, batch, index)
            contestant.end_domain(domain.train)
            self.domain_seconds.append(float(np.median(self.seconds[before:])))
            self._end(index)

    def learn_whole(self, contestant: AvalancheContestant) -> None:
        """Learn domain after domain by somebody else's loop, and judge after each."""
        if self.job.evaluation.ahead:
            self.judge_all(0)
        for index, domain in enumerate(self.stream.domains):
            steps, seconds = contestant.learn_domain(index, self.order)
            self.steps += steps
            self.samples += self.job.schedule.epochs * len(domain.train)
            self.seconds.append(seconds / max(1, steps))
            self.domain_seconds.append(self.seconds[-1])
            self.resident = max(self.resident, psutil.Process().memory_info().rss)
            self.on_step(self.steps, self.total)
            self._end(index)

    def _end(self, index: int) -> None:
        self.judge_all(index + 1)
        if self.job.evaluation.every is not None:
            self._look(index, ended=True)

    def learn_jointly(self, contestant: OwnContestant, samples_per_step: int | None) -> None:
        """Learn all domains at once."""
        contestant.begin_domain(0)
        for batch in joint_batches(self.stream, self.job.schedule, samples_per_step, self.order):
            self._learn(contestant, batch, None)
        self.judge_all(len(self.stream.domains))

    def _learn(self, contestant: OwnContestant, arrived: Batch, index: int | None) -> None:
        """Make the steps that a batch pays for; ``index`` is its domain, None where it is of all."""
        steps = 1 if index is None else self.job.schedule.steps_per_batch
        if self.panel is not None and index is not None:
            serving = None if self.server is None else self.server.serving
            heard = self.panel.label(arrived, self.stream.domains[index], serving)
            if heard is None:
                return
            arrived = heard
        began = time.perf_counter()
        contestant.arrive(arrived)
        spent = time.perf_counter() - began
        for last in range(steps - 1, -1, -1):
            view = augmented(arrived, self.order) if self.job.augment and self.stream.masks else arrived
            began = time.perf_counter()
            contestant.step(view)
            if not last:
                contestant.keep()
            spent += time.perf_counter() - began
            self.steps += 1
            self._after_step(index)
        self.seconds.append(spent / steps)
        self.samples += len(arrived)

    def _after_step(self, index: int | None) -> None:
        if self._average is not None:
            self._average.follow()
        if index is not None:
            if self.server is not None:
                self.server.after_step(index)
            if self.job.evaluation.every is not None and self.steps % self.job.evaluation.every == 0:
                self._look(index, ended=False)
        if self.steps % _MEMORY_EVERY == 0:
            self.resident = max(self.resident, psutil.Process().memory_info().rss)
        self.on_step(self.steps, self.total)

    def judge_all(self, row: int) -> None:
        """Fill a row of the matrix: all domains, or those begun where nobody looks ahead."""
        last = len(self.stream.domains) if self.job.evaluation.ahead else row
        for j in range(last):
            self.matrix[row, j] = self._score(j, self._judged(j))
        if self.log is not None and row:
            self.log.add_scalar("average", float(np.nanmean(self.matrix[row, :row])), self.steps)

    def _look(self, index: int, *, ended: bool) -> None:
        scores = [self._score(j, self._watched[j]) for j in range(index + 1)]
        self.looks.append(Look(self.steps, index, scores, ended))
        if self.log is not None:
            for j, score in enumerate(scores):
                self.log.add_scalar(f"domain/{self.stream.domains[j].name}", score, self.steps)

    def _judged(self, j: int) -> Samples:
        domain = self.stream.domains[j]
        samples = domain.test if self.job.evaluation.on == "test" else domain.validation
        if not len(samples):
            msg = f"{self.stream.name!r} has no validation samples: set validation_share"
            raise ValueError(msg)
        return samples

    def _score(self, j: int, samples: Samples) -> float:
        return judge(self._shown, self.stream, self.stream.domains[j], samples).score(masks=self.stream.masks)

    def last_domains(self) -> Iterator[Domain]:
        """Describe each domain as the network leaves it."""
        for j, domain in enumerate(self.stream.domains):
            samples = self._judged(j)
            sizes = {"name": domain.name, "train": len(domain.train), "test": len(samples)}
            if not self.stream.masks:
                yield Domain.model_validate(sizes)
                continue
            found = judge(self._shown, self.stream, domain, samples, calls=True)
            hit_rate = found.calls.hit_rate
            yield Domain.model_validate(
                {
                    **sizes,
                    "dice": tuple(map(float, found.pooled.dice_per_class)),
                    "iou": tuple(map(float, found.pooled.iou_per_class)),
                    "hit_rate": None if np.isnan(hit_rate) else hit_rate,
                    "false_calls_per_frame": found.calls.false_per_frame,
                }
            )
