"""A stream as the laboratory sees it: domains in order, each with samples to train, to validate and to test on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from learner.lab.streams.transforms import AS_STORED, Transform
from learner.strategies import Batch

Scenario: TypeAlias = Literal["domain", "class", "task"]
"""What is known when a sample is judged (van de Ven & Tolias 2019): in "task" its domain is, and only the classes of
that domain compete; in "class" all classes of the stream compete; in "domain" all domains have the same classes."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Samples that share their storage with other domains; what makes a domain of them is applied when they are taken.

    Attributes
    ----------
    images : Tensor
        (N, ...) uint8, standing for 0 to 1, or float32.
    targets : Tensor
        (N,) int64 classes, or (N, H, W) uint8 masks.
    indices : Tensor
        (M,) int64, those of the N that belong here.
    transform : Transform
        From stored images to those that are learned.
    """

    images: Tensor
    targets: Tensor
    indices: Tensor
    transform: Transform = AS_STORED

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.indices)

    def take(self, which: Tensor | slice = slice(None)) -> Batch:
        """Return some of the samples, in the order of the (M') int64 positions: vectors where targets are classes."""
        at = self.indices[which]
        images = self.images[at]
        if images.dtype == torch.uint8:
            images = images.float() / 255
        images = self.transform(images)
        # The networks for classes see vectors, and so does what generates them: a permuted image is no picture.
        return Batch(images.flatten(1) if self.targets.ndim == 1 else images, self.targets[at].long())

    def split(self, share: float, generator: torch.Generator) -> "tuple[Samples, Samples]":
        """Return all but a random share of the samples, and that share."""
        order = torch.randperm(len(self), generator=generator)
        cut = len(self) - round(share * len(self))
        kept, taken = order[:cut].sort().values, order[cut:].sort().values
        return self._only(kept), self._only(taken)

    def first(self, count: int) -> "Samples":
        """Return evenly spaced samples, at most ``count``."""
        if len(self) <= count:
            return self
        return self._only(torch.linspace(0, len(self) - 1, count).long())

    def _only(self, which: Tensor) -> "Samples":
        return Samples(self.images, self.targets, self.indices[which], self.transform)


@dataclass(frozen=True, slots=True, eq=False)
class Domain:
    """One part of a stream.

    Attributes
    ----------
    name : str
        Unique in its stream.
    train, validation, test : Samples
        What is learned, what settings and releases are chosen by, and what is reported. No image, and nothing
        made of one, is in two of them.
    classes : tuple of int
        Those that occur.
    """

    name: str
    train: Samples
    validation: Samples
    test: Samples
    classes: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Domains in the order in which they come.

    Attributes
    ----------
    name : str
        For people.
    domains : sequence of Domain
        At least one.
    classes : tuple of str
        Names of all classes; of masks, the background first.
    scenario : {"domain", "class", "task"}
        What is known at test time.
    masks : bool
        Whether targets are masks and not classes.
    """

    name: str
    domains: Sequence[Domain]
    classes: tuple[str, ...]
    scenario: Scenario
    masks: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be learned.

        Raises
        ------
        ValueError
            If there is no domain, two have one name, or one has nothing to train or to test on.
        """
        names = [domain.name for domain in self.domains]
        if not names or len(set(names)) != len(names):
            msg = f"stream {self.name!r} needs domains of different names, not {names}"
            raise ValueError(msg)
        for domain in self.domains:
            if not len(domain.train) or not len(domain.test):
                msg = f"domain {domain.name!r} of {self.name!r} has nothing to train or to test on"
                raise ValueError(msg)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image as it is learned."""
        return tuple(self.domains[0].test.take(slice(1)).images.shape[1:])
