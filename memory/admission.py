"""Randomness of one admission, drawn from the label itself."""

import hashlib
from dataclasses import dataclass

LCG_MODULUS = 2**31 - 1
LCG_FACTOR = 16807


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
