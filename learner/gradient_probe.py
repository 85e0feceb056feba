"""Measures how the gradient of a label lies to that of what other inspectors labelled."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from itertools import chain, zip_longest

import numpy as np
import torch
from numpy.typing import NDArray

from learner.evaluation import predict
from learner.labels import Label
from learner.settings import InspectorSettings
from learner.strategies.batch import Batch
from learner.trainer import Trainer
from memory.samples import Sample
from memory.sampling import Balanced, Policy
from stream.preprocessing import prepare

Draw = Callable[[Policy, np.random.Generator], Awaitable[list[Sample]]]

_OTHER_DOMAINS = 2
"""Samples of each other domain that may stand in the reference."""


class GradientProbe:
    """Compares the gradients of new labels, before they are learned, with that of remembered ones.

    Every so many labels of an inspector the newest one is measured: one
    backward pass on its crop, and one for each of a few other inspectors on
    remembered crops of the same domain and others that they labelled. No
    random state is kept: the label decides what is drawn, and crops lie where
    most of the defect is. Weights, optimiser and the draws of training are
    left as they are.

    Parameters
    ----------
    settings : InspectorSettings
        How often, on how much.
    trainer : Trainer
        Asked for gradients.
    draw : callable
        Draws from the memory with a generator of ours; waits where Redis is away.
    executor : Executor
        Whose one thread uses the trainer.
    size, multiple : int
        Rows and columns of a crop; what the network's input sizes are multiples of.
    seed : int
        Of the draws.
    """

    def __init__(
        self,
        settings: InspectorSettings,
        trainer: Trainer,
        *,
        draw: Draw,
        executor: Executor,
        size: int,
        multiple: int,
        seed: int,
    ) -> None:
        self._settings = settings
        self._trainer = trainer
        self._draw = draw
        self._executor = executor
        self._size = size
        self._multiple = multiple
        self._seed = seed
        self._labels: dict[str, int] = {}

    async def measure(self, group: Sequence[Label], domains: Sequence[str]) -> list[tuple[Label, float]]:
        """Return the labels that were measured, each with the mean cosine of its angles to each other inspector.

        Parameters
        ----------
        group : sequence of Label
            About to be learned, all of one domain.
        domains : sequence of str
            Those in the memory.
        """
        due = [label for label in group if self._is_due(label.inspector_id)]
        # One inspector alone has nobody to be compared with.
        if len(self._labels) < 2:  # noqa: PLR2004 - two
            return []
        new = {label.sample.label_id for label in group}
        found = []
        loop = asyncio.get_running_loop()
        for label in due:
            reference = await self._reference(label, domains, new)
            cosine = await loop.run_in_executor(self._executor, partial(self._cosine, label.sample, reference))
            if cosine is not None:
                found.append((label, cosine))
        return found

    def state(self) -> dict[str, int]:
        """Return how many labels of each inspector came, for a checkpoint."""
        return dict(self._labels)

    def restore(self, state: Mapping[str, int]) -> None:
        """Take over what :meth:`state` returned."""
        self._labels = dict(state)

    def _is_due(self, inspector_id: str) -> bool:
        count = self._labels.get(inspector_id, 0)
        self._labels[inspector_id] = count + 1
        return count % self._settings.conflict_labels == 0

    async def _reference(self, label: Label, domains: Sequence[str], new: set[str]) -> list[Sample]:
        most, own = self._settings.conflict_samples, label.sample
        counts = dict.fromkeys(domains, _OTHER_DOMAINS) | {own.domain: 2 * most}
        rng = np.random.default_rng([self._seed, zlib.crc32(own.label_id.encode())])
        drawn = await self._draw(Balanced(counts), rng)
        foreign = [s for s in drawn if s.inspector_id != label.inspector_id and s.label_id not in new]
        same = list(_in_turns([s for s in foreign if s.domain == own.domain]))
        if not same:
            return []  # only a new domain's first inspector would be compared with other domains
        rest = list(_in_turns([s for s in foreign if s.domain != own.domain]))
        same = same[: max(most // 2, most - len(rest))]
        return [*same, *rest[: most - len(same)]]

    def _cosine(self, own: Sample, others: Sequence[Sample]) -> float | None:
        shown = own.mask > 0
        if not shown.any():
            shown = predict(self._trainer.model, [own.pixels], self._multiple)[0] > 0
        if not others or not shown.any():
            return None  # a sound frame in which the network finds nothing teaches nothing
        ours = self._gradient([(own, shown)])
        votes = [self._gradient([(s, s.mask > 0) for s in group]) for group in _by_inspector(others).values()]
        # Each inspector has one vote, however large the loss of their labels is.
        cosine = float(torch.stack([torch.dot(ours, vote) for vote in votes]).mean())
        return cosine if np.isfinite(cosine) else None

    def _gradient(self, frames: Sequence[tuple[Sample, NDArray[np.bool_]]]) -> torch.Tensor:
        """Return the direction of a gradient: (P,) of length 1."""
        crops = [_crop(sample, shown, self._size) for sample, shown in frames]
        images = torch.from_numpy(np.stack([image for image, _ in crops])[:, None])
        batch = Batch(images, torch.from_numpy(np.stack([mask for _, mask in crops])))
        return torch.nn.functional.normalize(self._trainer.gradient(batch), dim=0)


def _by_inspector(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    for sample in sorted(samples, key=lambda s: s.inspector_id):
        found.setdefault(sample.inspector_id, []).append(sample)
    return found


def _in_turns(samples: Sequence[Sample]) -> Iterator[Sample]:
    """Yield one of each inspector, and again: who labels most is not heard more."""
    rounds = zip_longest(*_by_inspector(samples).values())
    return (sample for sample in chain.from_iterable(rounds) if sample is not None)


def _crop(sample: Sample, shown: NDArray[np.bool_], size: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Cut the square that shows most of something, the middle where there is nothing."""
    image, mask = prepare(sample.pixels), sample.mask
    missing = [(0, max(0, size - length)) for length in image.shape]
    image, mask = np.pad(image, missing, mode="edge"), np.pad(mask, missing, mode="edge")
    shown = np.pad(shown, missing, mode="edge")
    rows, columns = (length - size + 1 for length in image.shape)
    sums = np.zeros((image.shape[0] + 1, image.shape[1] + 1), np.int64)
    sums[1:, 1:] = shown.cumsum(0).cumsum(1)
    within = sums[size:, size:] - sums[:rows, size:] - sums[size:, :columns] + sums[:rows, :columns]
    row, column = divmod(int(within.argmax()), columns) if within.any() else (rows // 2, columns // 2)
    window = np.s_[row : row + size, column : column + size]
    return image[window], mask[window].astype(np.int64)
