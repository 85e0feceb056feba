"""What is stored with a sample beside itself: what a coreset compares, and room for logits."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from learner.embedding import FrozenEmbedder
from learner.settings import LearnerSettings
from learner.state import State
from learner.strategies import stores_logits
from memory.admission import EMBEDDING
from memory.episodic import EpisodicMemory
from memory.samples import LOGITS, Sample
from memory.stores.base import Admission


class Embeds(Protocol):
    """Says where samples lie among each other."""

    def __call__(self, sample: Sample) -> NDArray[np.float32]:
        """Return the embedding of a sample, the same whenever it is asked; see :mod:`memory.admission`."""
        ...


class StoredLogits:
    """The logits that lie in the memory, for a checkpoint.

    A memory that is rebuilt from the labels topic has the logits that the
    weights of long ago gave, only if somebody wrote them down.
    """

    def __init__(self) -> None:
        self._logits: dict[str, NDArray[np.float32]] = {}

    def get(self, label_id: str) -> NDArray[np.float32] | None:
        """Return the logits of a label, None if it has none."""
        return self._logits.get(label_id)

    def keep(self, label_id: str, logits: NDArray[np.float32]) -> None:
        """Note what was stored with a label."""
        self._logits[label_id] = logits

    def forget(self, label_ids: Iterable[str]) -> None:
        """Note which labels are stored no longer."""
        for label_id in label_ids:
            self._logits.pop(label_id, None)

    def state(self) -> State:
        """Return all of them."""
        return State({label_id: torch.from_numpy(logits) for label_id, logits in self._logits.items()})

    def restore(self, state: State) -> None:
        """Take over what :meth:`state` returned."""
        self._logits = {label_id: np.asarray(logits) for label_id, logits in state.tensors.items()}


class Extras:
    """Makes samples ready for the memory.

    Parameters
    ----------
    embed : Embeds or None
        Where a coreset is kept.
    classes : int
        Mask values, the background included.
    stride : int or None
        Of the logits that will be stored once a sample is learned; None where none will.
    logits : StoredLogits
        What is known already.
    """

    def __init__(self, embed: Embeds | None, classes: int, stride: int | None, logits: StoredLogits) -> None:
        self._embed = embed
        self._classes = classes
        self._stride = stride
        self._logits = logits

    def reserved(self, sample: Sample) -> Sample:
        """Return a sample with all that it will ever carry. Blocking where it is embedded.

        Its place among the bytes of the memory is final: logits that are not
        known yet are not a number, and as many as there will be. What is kept
        then depends on labels alone, not on when they are learned.
        """
        if self._stride is None:
            return self._complete(sample, {})
        known = self._logits.get(sample.label_id)
        if known is None:
            rows, columns = (-(-length // self._stride) for length in sample.mask.shape)
            known = np.full((self._classes, rows, columns), np.nan, np.float32)
        return self._complete(sample, {LOGITS: known})

    def with_logits(self, sample: Sample, logits: NDArray[np.float32]) -> Sample:
        """Return a sample with what the network answers. Blocking where it is embedded."""
        return self._complete(sample, {LOGITS: logits})

    def _complete(self, sample: Sample, extras: Mapping[str, NDArray[np.float32]]) -> Sample:
        if self._embed is not None:
            embedding = sample.extras.get(EMBEDDING)
            extras = {EMBEDDING: self._embed(sample) if embedding is None else embedding, **extras}
        return replace(sample, extras=extras) if extras else sample


def make_extras(settings: LearnerSettings, logits: StoredLogits) -> Extras:
    """Return what the settings want stored with a sample. Blocking: a coreset's network is built."""
    classes = len(settings.classes)
    coreset = settings.memory.policy == "coreset"
    embed = FrozenEmbedder.of(settings.model, classes, settings.seed) if coreset else None
    return Extras(
        embed, classes, settings.trainer.crops.logits_stride if stores_logits(settings.strategy) else None, logits
    )


class Remembering:
    """Puts samples into the memory with all that belongs to them.

    Parameters
    ----------
    memory : EpisodicMemory
        Where they go.
    extras : Extras
        What belongs to them.
    logits : StoredLogits or None
        Told what is stored with whom, where a checkpoint is to know.
    """

    def __init__(self, memory: EpisodicMemory, extras: Extras, logits: StoredLogits | None) -> None:
        self._memory = memory
        self._extras = extras
        self._logits = logits

    async def admit(self, sample: Sample) -> Admission:
        """Offer a sample that nobody has learned yet."""
        admission = await self._memory.admit(await asyncio.to_thread(self._extras.reserved, sample))
        if self._logits is not None:
            self._logits.forget(admission.evicted)
        return admission

    async def store_logits(self, samples: Sequence[Sample], logits: Sequence[NDArray[np.float32]]) -> list[Sample]:
        """Store logits with samples, where the memory still holds them; return the samples with them."""
        complete = []
        for sample, answered in zip(samples, logits, strict=True):
            complete.append(await asyncio.to_thread(self._extras.with_logits, sample, answered))
            admission = await self._memory.replace(complete[-1])
            if self._logits is not None:
                self._logits.forget(admission.evicted)
                if admission.admitted:
                    self._logits.keep(sample.label_id, answered)
        return complete
