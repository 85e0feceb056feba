"""Runs one job: a method learns a stream, and is judged on the way."""

import platform
import time
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import torch

from learner.lab.avalanche import AvalancheContestant
from learner.lab.contestants import OwnContestant
from learner.lab.course import Course, Log
from learner.lab.networks import build_network
from learner.lab.panel import Panel
from learner.lab.results import LookRow, Result, Served
from learner.lab.settings import AvalancheConfig, Job, JointConfig
from learner.strategies import DivergedError


def run(
    job: Job,
    *,
    inputs: str | None = None,
    log: Log | None = None,
    on_step: Callable[[int, int], None] = lambda _done, _total: None,
) -> Result:
    """Run a job to its end; the same job gives the same result on one kind of machine.

    Parameters
    ----------
    job : Job
        What to run.
    inputs : str or None
        The digest of its data, if it is known already.
    log : Log or None
        Where scores go as they are measured.
    on_step : callable
        Called with steps made and steps in all.

    Raises
    ------
    ValueError
        If its parts do not go together.
    """
    began = time.perf_counter()
    stream_seed, weights, order, memory, labels = (
        int(s.generate_state(1, np.uint64)[0] >> 1) for s in np.random.SeedSequence(job.seed).spawn(5)
    )
    stream = job.stream.open(stream_seed)
    model = build_network(job.method.network or job.network, stream, weights)
    torch.manual_seed(weights)  # what a strategy draws
    contestant: OwnContestant | AvalancheContestant
    if isinstance(job.method.strategy, AvalancheConfig):
        contestant = AvalancheContestant(job, stream, model)
    else:
        contestant = OwnContestant(job, stream, model, np.random.default_rng(memory))
    panel = None
    if (who := job.method.panel) is not None:
        # Here and not in the settings: a search takes the releases away from a job that had some.
        if who.compared and job.releases is None:
            msg = f"{job.method.name!r} compares inspectors by what is served: set releases"
            raise ValueError(msg)
        panel = Panel(who, stream, np.random.default_rng(labels))
    course = Course(job, stream, model, torch.Generator().manual_seed(order), panel, log, on_step)
    diverged = None
    try:
        if isinstance(contestant, AvalancheContestant):
            course.learn_whole(contestant)
        elif isinstance(job.method.strategy, JointConfig):
            course.learn_jointly(contestant, job.method.strategy.samples_per_step)
        else:
            course.learn_in_order(contestant)
    except DivergedError as error:
        diverged = str(error)
        course.judge_all(len(stream.domains))
    return Result(
        job=job,
        digest=job.digest(job.stream.inputs() if inputs is None else inputs),
        stream=stream.name,
        classes=stream.classes,
        score="Dice" if stream.masks else "accuracy",
        matrix=tuple(tuple(None if np.isnan(x) else float(x) for x in row) for row in course.matrix),
        looks=tuple(map(LookRow.of, course.looks)),
        served=None
        if course.server is None
        else Served(versions=tuple(map(LookRow.of, course.server.served)), refused=course.server.refused),
        labels=None if panel is None else panel.labels,
        domains=tuple(course.last_domains()),
        steps=course.steps,
        samples=course.samples,
        seconds_per_step=float(np.median(course.seconds)) if course.seconds else 0.0,
        domain_seconds=tuple(course.domain_seconds),
        seconds=time.perf_counter() - began,
        kept_bytes=contestant.kept_bytes(),
        resident_bytes=max(0, course.resident - course.resident_at_start),
        diverged=diverged,
        environment=environment(),
    )


def environment() -> dict[str, str]:
    """Return what decides about numbers beside the job."""
    return {
        "machine": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "torch": version("torch"),
        "numpy": version("numpy"),
        "threads": str(torch.get_num_threads()),
    }
