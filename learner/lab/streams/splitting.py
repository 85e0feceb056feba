"""Labelled images a few classes at a time."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from learner.lab.streams.base import Domain, Samples, Scenario, Stream
from learner.lab.streams.transforms import Transform


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Images (N, ...) with classes (N,) int64."""

    images: Tensor
    targets: Tensor

    def every(self, transform: Transform) -> Samples:
        """Return all samples, transformed."""
        return Samples(self.images, self.targets, torch.arange(len(self.targets)), transform)

    def only(self, classes: tuple[int, ...], offset: int) -> Samples:
        """Return the samples of some classes, whose numbers begin ``offset`` lower."""
        at = torch.nonzero(torch.isin(self.targets, torch.tensor(classes))).flatten()
        return Samples(self.images, self.targets - offset, at)


def split_stream(
    name: str,
    train: Labelled,
    test: Labelled,
    *,
    classes: int,
    domains: int,
    scenario: Scenario,
    validation_share: float,
    seed: int,
) -> Stream:
    """Return a stream with the first classes, then others, in order.

    In the scenario "domain" the classes are first, second, ... of each domain.

    Raises
    ------
    ValueError
        If the classes cannot be split evenly.
    """
    each = classes // domains
    if each * domains != classes:
        msg = f"{classes} classes cannot be split evenly into {domains} domains"
        raise ValueError(msg)
    rng = np.random.default_rng(seed)
    made = []
    for i in range(domains):
        shown = tuple(range(i * each, (i + 1) * each))
        known = tuple(range(each)) if scenario == "domain" else shown
        offset = shown[0] - known[0]
        title = "-".join(map(str, shown if each <= 3 else (shown[0], shown[-1])))  # noqa: PLR2004 - what is read at a glance
        made.append(
            domain_of(
                title,
                train.only(shown, offset),
                test.only(shown, offset),
                classes=known,
                validation_share=validation_share,
                rng=rng,
            )
        )
    return Stream(name, made, names(each if scenario == "domain" else classes), scenario)


def domain_of(
    name: str,
    train: Samples,
    test: Samples,
    *,
    classes: tuple[int, ...],
    validation_share: float,
    rng: np.random.Generator,
) -> Domain:
    """Return a domain that holds a random share of its training samples out."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    kept, held_out = train.split(validation_share, generator)
    return Domain(name, kept, held_out, test, classes)


def names(count: int) -> tuple[str, ...]:
    """Return the numbers of classes as names."""
    return tuple(str(i) for i in range(count))
