"""Changes of domain that no descriptor names: found by drift detection, each opens a domain of its own."""

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from learner.labels import Label
from learner.settings import DomainSettings
from memory.descriptors import EDITION_MARK, Descriptor, edition_of
from stream.drift import PageHinkley
from stream.preprocessing import Pixels, prepare

_log = logging.getLogger(__name__)

LOSS = "loss"
_LEAST_SPREAD = 0.02
"""Of the means of blocks, whose values are of the order of 1: less is no noise to compare a change with."""
_LARGEST = 4.0
"""Deviations that one block may count: a single odd weld is no change."""
_LARGEST_NOTED = 1.5
"""Deviations by which one block may change what is taken for usual."""


def input_statistics(pixels: Pixels) -> dict[str, float]:
    """Return what a frame (H, W) looks like to the network, in five numbers of the order of 1.

    Of the prepared frame, whose mean is 0 and deviation 1: a gain that
    preparing takes out is no change. How rough it is along rows and columns,
    how rough coarsely, its median, and how high its peaks are.
    """
    image = prepare(pixels)
    rows, columns = image.shape
    tall, wide = rows - rows % 4, columns - columns % 4
    coarse = image[:tall, :wide].reshape(tall // 4, 4, wide // 4, 4).mean(axis=(1, 3)) if tall and wide else image
    return {
        "across": float(np.abs(np.diff(image, axis=1)).mean()) if columns > 1 else 0.0,
        "along": float(np.abs(np.diff(image, axis=0)).mean()) if rows > 1 else 0.0,
        "coarse": float(coarse.std()),
        "median": float(np.median(image)),
        "peaks": float(np.log1p((image**2).mean() + (image**4).mean())),
    }


def served_loss(label: Label) -> float | None:
    """Return 1 - Dice of what served the label's frame, None if no judgement came with it."""
    return None if label.served is None else 1.0 - label.served.foreground_dice


@dataclass
class _Signal:
    """One number of each label, compared block by block with what it has been."""

    detector: PageHinkley
    block: list[float] = field(default_factory=list)
    blocks: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, value: float, settings: DomainSettings) -> bool:
        """Take the next value; True if it has changed."""
        self.block.append(value)
        if len(self.block) < settings.drift_block:
            return False
        found, mean = False, math.fsum(self.block) / len(self.block)
        self.block.clear()
        if self.blocks >= settings.drift_warmup:
            spread = max(_LEAST_SPREAD, math.sqrt(self.squares / (self.blocks - 1)))
            apart = (mean - self.mean) / spread
            self.detector.update(min(_LARGEST, max(-_LARGEST, apart)))
            found = self.detector.drift_detected
            # Or the blocks after a change would soon make it look like noise.
            mean = self.mean + spread * min(_LARGEST_NOTED, max(-_LARGEST_NOTED, apart))
        self.blocks += 1
        apart = mean - self.mean
        self.mean += apart / self.blocks
        self.squares += apart * (mean - self.mean)
        return found

    def state(self) -> dict[str, Any]:
        return {
            "detector": self.detector.state(),
            "block": list(self.block),
            "blocks": self.blocks,
            "mean": self.mean,
            "squares": self.squares,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.detector.restore(state["detector"])
        self.block, self.blocks = list(state["block"]), state["blocks"]
        self.mean, self.squares = state["mean"], state["squares"]


@dataclass
class _Watched:
    """A descriptor: its editions, each with the first offset of each partition that belongs to it, and its signals."""

    edition: int = 1
    openings: list[tuple[int, dict[int, int]]] = field(default_factory=list)
    signals: dict[str, _Signal] = field(default_factory=dict)


class HiddenChanges:
    """Names the domain of each label: its descriptor, and the edition of it that is current.

    What a label shows (:func:`input_statistics`) and how wrong what served it
    was (:func:`served_loss`, known before the label is learned) are averaged
    over blocks of labels of one descriptor, since neighbours along a weld
    resemble each other. A Page-Hinkley test on each, in deviations between
    the blocks so far, opens a new edition ``<descriptor>~2``; a loss counts
    where it rises. All of it comes out of the labels and their order alone:
    a label that is read again has the domain that it had, and a memory
    that is rebuilt from the labels topic has the same domains.

    Parameters
    ----------
    settings : DomainSettings
        Whether to look for changes, and how soon.
    """

    def __init__(self, settings: DomainSettings) -> None:
        self._settings = settings
        self._watched: dict[str, _Watched] = {}
        self._seen: dict[int, int] = {}

    def placed(self, label: Label) -> Label:
        """Return a label in the domain that it belongs to; one that was not seen before counts."""
        if not self._settings.drift:
            return label
        descriptor = label.sample.domain
        watched = self._watched.setdefault(descriptor, _Watched())
        if label.offset >= self._seen.get(label.partition, 0):
            if self._changed(watched, label):
                watched.edition += 1
                watched.openings.append((watched.edition, {**self._seen, label.partition: label.offset}))
                watched.signals.clear()
                _log.info("labels of %s have changed: what follows is its edition %d", descriptor, watched.edition)
            self._seen[label.partition] = label.offset + 1
        edition = next(
            (e for e, since in reversed(watched.openings) if label.offset >= since.get(label.partition, 0)), 1
        )
        if edition == 1:
            return label
        return replace(label, sample=replace(label.sample, domain=edition_of(descriptor, edition)))

    def adopt(self, domains: Iterable[str]) -> None:
        """Go on with the editions that a memory has, where nothing else is known: what follows is of the newest."""
        for domain in domains:
            edition = Descriptor.parse(domain).edition
            watched = self._watched.setdefault(domain.partition(EDITION_MARK)[0], _Watched())
            if edition > watched.edition:
                watched.edition = edition
                watched.openings = [(edition, {})]

    def state(self) -> dict[str, Any]:
        """Return all of it as JSON, for a checkpoint."""
        return {
            "seen": [[partition, offset] for partition, offset in self._seen.items()],
            "descriptors": {
                name: {
                    "openings": [[edition, [list(pair) for pair in since.items()]] for edition, since in w.openings],
                    "signals": {kind: signal.state() for kind, signal in w.signals.items()},
                }
                for name, w in self._watched.items()
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state` returned."""
        self._seen = dict(state["seen"])
        self._watched = {}
        for name, found in state["descriptors"].items():
            openings = [(edition, dict(since)) for edition, since in found["openings"]]
            watched = _Watched(openings[-1][0] if openings else 1, openings)
            for kind, signal in found["signals"].items():
                watched.signals[kind] = self._signal(kind)
                watched.signals[kind].restore(signal)
            self._watched[name] = watched

    def _changed(self, watched: _Watched, label: Label) -> bool:
        values = input_statistics(label.sample.pixels)
        if (loss := served_loss(label)) is not None:
            values[LOSS] = loss
        found = False
        for kind, value in values.items():
            signal = watched.signals.setdefault(kind, self._signal(kind))
            found = signal.add(value, self._settings) or found
        return found

    def _signal(self, kind: str) -> _Signal:
        return _Signal(
            PageHinkley(
                delta=self._settings.drift_tolerance,
                threshold=self._settings.drift_threshold,
                minimum=1,
                direction="up" if kind == LOSS else "both",
            )
        )
