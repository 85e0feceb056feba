"""Judges a network on the domains of a stream."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from learner.lab.calls import Calls
from learner.lab.streams import Domain, Samples, Stream
from learner.losses import ClassLoss
from stream.scoring import Confusion, pooled

_BATCH = {False: 2000, True: 16}
"""Samples judged at once: of classes, of masks."""

_RIGHT = 1


@dataclass(frozen=True, slots=True)
class Judged:
    """What a network made of a domain.

    Attributes
    ----------
    counts : sequence of Confusion
        Of each sample. A class is counted as one pixel, which shows a "defect" that is found or missed: the
        release gate then compares shares of right answers.
    calls : Calls
        Of masks: flaws and calls.
    right : int
        Of classes: samples judged right.
    """

    counts: Sequence[Confusion]
    calls: Calls
    right: int

    def score(self, *, masks: bool) -> float:
        """Return the Dice of defect pixels, whatever their class, or the share of right answers."""
        return self.pooled.foreground_dice if masks else self.right / len(self.counts)

    @property
    def pooled(self) -> Confusion:
        """Counts of all samples."""
        return pooled(self.counts)


@torch.inference_mode()
def judge(model: nn.Module, stream: Stream, domain: Domain, samples: Samples, *, calls: bool = False) -> Judged:
    """Judge samples of a domain; the model must be in evaluation mode.

    Parameters
    ----------
    model : nn.Module
        Maps images to logits.
    stream, domain, samples : Stream, Domain, Samples
        What is judged; at least one sample.
    calls : bool
        Count flaws and calls too.
    """
    counts: list[Confusion] = []
    found, right = Calls(), 0
    size = _BATCH[stream.masks]
    for start in range(0, len(samples), size):
        batch = samples.take(slice(start, start + size))
        judged = judged_classes(model(batch.images), stream, domain)
        if not stream.masks:
            correct = judged == batch.targets
            right += int(correct.sum())
            counts += [_ANSWERS[answer] for answer in correct.tolist()]
            continue
        for mask, true in zip(judged.to(torch.uint8).numpy(), batch.targets.to(torch.uint8).numpy(), strict=True):
            counts.append(Confusion.of(mask, true, len(stream.classes)))
            if calls:
                found += Calls.of(mask, true)
    return Judged(counts, found, right)


def judged_classes(logits: Tensor, stream: Stream, domain: Domain) -> Tensor:
    """Return the most probable class, in the scenario "task" among those of the domain alone."""
    if stream.scenario == "task":
        own = torch.tensor(domain.classes)
        return own[logits[:, own].argmax(dim=1)]
    return logits.argmax(dim=1)


def _answer(judged: int) -> Confusion:
    return Confusion.of(np.full((1, 1), judged, np.uint8), np.full((1, 1), _RIGHT, np.uint8), _RIGHT + 1)


_ANSWERS = {False: _answer(0), True: _answer(_RIGHT)}


class HeadLoss(ClassLoss):
    """Cross entropy among the classes of the target's own domain: several heads on one output layer.

    Parameters
    ----------
    stream : Stream
        Each class belongs to one domain.
    """

    def __init__(self, stream: Stream) -> None:
        self._closed = torch.ones(len(stream.classes), len(stream.classes), dtype=torch.bool)
        for domain in stream.domains:
            own = torch.tensor(domain.classes)
            self._closed[own[:, None], own] = False

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return one loss for each sample: (N, K) and (N,) to (N,)."""
        # A finite number: minus infinity times a gradient of zero would be no number.
        masked = logits.masked_fill(self._closed[targets], -1e9)
        return nn.functional.cross_entropy(masked, targets, reduction="none")
