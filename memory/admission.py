"""Who is kept: the randomness of one admission, drawn from the label itself, and what a policy looks at."""

import hashlib
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

LCG_MODULUS = 2**31 - 1
LCG_FACTOR = 16807

AdmissionPolicy: TypeAlias = Literal["reservoir", "class_balanced", "ring", "coreset"]
"""How the samples of a domain are chosen; see :mod:`memory.stores.policies`."""

EMBEDDING = "embedding"
"""Name among a sample's extras of what a coreset compares."""

EMBEDDING_SIZE = 32
LARGEST_EMBEDDING = 127


@dataclass(frozen=True, slots=True)
class Chance:
    """All the randomness that one insertion uses, drawn outside of the store.

    Attributes
    ----------
    slot : float
        Uniform in [0, 1): the j of Vitter's Algorithm R is ``floor(slot * (n + 1))``.
    evictions : int
        Start in [1, 2**31 - 2] of the sequence that picks who leaves.
    """

    slot: float
    evictions: int


class Lehmer:
    """The minimal standard generator (Park & Miller 1988): exact in the doubles of Redis's Lua as in Python."""

    def __init__(self, state: int) -> None:
        self._state = state

    def below(self, bound: int) -> int:
        """Return an integer in [0, bound)."""
        self._state = self._state * LCG_FACTOR % LCG_MODULUS
        return self._state * bound // LCG_MODULUS


def chance_of(seed: int, label_id: str) -> Chance:
    """Draw from the seed and the label id alone.

    A label replayed after a crash, or a memory rebuilt from the labels topic,
    then meets the same decisions, wherever a running generator would stand.
    """
    digest = hashlib.sha256(f"{seed}\0{label_id}".encode()).digest()
    return Chance(
        slot=(int.from_bytes(digest[:8], "big") >> 11) / 2**53,
        evictions=1 + int.from_bytes(digest[8:16], "big") % (LCG_MODULUS - 1),
    )


def shown_classes(mask: NDArray[np.uint8]) -> tuple[int, ...]:
    """Return the defect classes that a mask (H, W) shows, in ascending order; none for background."""
    return tuple(int(value) for value in np.flatnonzero(np.bincount(mask.ravel(), minlength=1)) if value)


def whole_embedding(label_id: str, embedding: NDArray[np.float32] | None) -> NDArray[np.int8]:
    """Return an embedding (32,) in whole numbers, of which distances are exact wherever they are computed.

    Raises
    ------
    ValueError
        If there is none, or it is of another shape or not within -127 to 127:
        whoever fills a coreset must embed.
    """
    if embedding is None:
        raise ValueError(f"{label_id} has no embedding, which a coreset needs")
    if embedding.shape != (EMBEDDING_SIZE,) or not np.all(np.abs(embedding) <= LARGEST_EMBEDDING):
        raise ValueError(
            f"the embedding of {label_id} is {embedding.shape}, not ({EMBEDDING_SIZE},) within {LARGEST_EMBEDDING}"
        )
    return np.rint(embedding).astype(np.int8)
