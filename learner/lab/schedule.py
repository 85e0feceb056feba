"""In which order samples come."""

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor

from learner.lab.settings import Schedule
from learner.lab.streams import Samples, Stream
from learner.strategies import Batch


def batches_of(samples: Samples, schedule: Schedule, generator: torch.Generator) -> Iterator[Batch]:
    """Yield the batches of one domain.

    Epochs end with a batch of what is left; iterations, as van de Ven's,
    leave it out and shuffle again.
    """
    if schedule.iterations is None:
        for _ in range(schedule.epochs):
            order = (
                torch.randperm(len(samples), generator=generator) if schedule.shuffle else torch.arange(len(samples))
            )
            for at in torch.split(order, schedule.batch_size):
                yield samples.take(at)
        return
    for at in islice(_without_end(len(samples), schedule.batch_size, generator), schedule.iterations):
        yield samples.take(at)


def number_of_batches(samples: Samples, schedule: Schedule) -> int:
    """Return how many batches :func:`batches_of` yields."""
    if schedule.iterations is not None:
        return schedule.iterations
    return schedule.epochs * -(-len(samples) // schedule.batch_size)


def joint_batches(
    stream: Stream, schedule: Schedule, samples_per_step: int | None, generator: torch.Generator
) -> Iterator[Batch]:
    """Yield batches of all domains together: as many as the domains have, one after the other, steps for steps."""
    owners = torch.cat([torch.full((len(d.train),), i) for i, d in enumerate(stream.domains)])
    places = torch.cat([torch.arange(len(d.train)) for d in stream.domains])
    steps = sum(number_of_batches(d.train, schedule) for d in stream.domains) * schedule.steps_per_batch
    size = samples_per_step or schedule.batch_size
    for at in islice(_without_end(len(owners), size, generator, whole=False), steps):
        shown = sorted(set(owners[at].tolist()))
        parts = [stream.domains[i].train.take(places[at][owners[at] == i]) for i in shown]
        yield Batch.join(parts)


def _without_end(count: int, size: int, generator: torch.Generator, *, whole: bool = True) -> Iterator[Tensor]:
    """Yield positions of ever new orders; with ``whole`` only full batches, unless there are too few samples."""
    while True:
        for at in torch.split(torch.randperm(count, generator=generator), size):
            if not whole or len(at) == size or count < size:
                yield at
