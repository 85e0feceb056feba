"""Gradients of past domains that are used for a stated number of steps."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from learner.state import State


class RowCache:
    """Keeps one gradient for each past domain, none longer than a number of steps.

    At each step the oldest are due, as many as it takes for all to have their
    turn in time, and those that were never computed: a step costs about one
    ``refresh_every``-th of computing all.

    Parameters
    ----------
    refresh_every : int
        Steps for which a gradient is used, that of its computation included.
    """

    def __init__(self, refresh_every: int) -> None:
        self._refresh_every = refresh_every
        self._rows: Tensor | None = None
        self._slots: dict[str, int] = {}
        self._made: dict[str, int] = {}
        self._step = 0

    def due(self, past: Sequence[str]) -> list[str]:
        """Return which of the past domains have to be computed at the next step, in their order."""
        turn = math.ceil(len(past) / self._refresh_every)
        never = -self._refresh_every
        oldest = sorted(past, key=lambda name: self._made.get(name, self._step + never))[:turn]
        return [name for name in past if name in oldest or self._age(name) >= self._refresh_every]

    def take(self, rows: Tensor, names: Sequence[str], past: Sequence[str]) -> Tensor:
        """Copy new rows (K, P), and return those of all past domains; one step has passed.

        What is returned is overwritten by the next step.
        """
        for name in names:
            self._slots.setdefault(name, len(self._slots))
        if self._rows is None or len(self._rows) < len(self._slots):
            grown = rows.new_zeros(2 * len(self._slots), rows.shape[1])
            if self._rows is not None:
                grown[: len(self._rows)] = self._rows
            self._rows = grown
        for name, row in zip(names, rows, strict=True):
            self._rows[self._slots[name]] = row
            self._made[name] = self._step
        self._step += 1
        slots = [self._slots[name] for name in past]
        if slots == list(range(len(slots))):
            return self._rows[: len(slots)]  # no copy where nothing has changed its place
        return self._rows[torch.tensor(slots, device=rows.device)]

    def _age(self, name: str) -> int:
        """Return for how many steps a gradient has been used."""
        return self._step - self._made[name] if name in self._made else self._refresh_every

    def state(self) -> State:
        """Return the gradients and their ages."""
        rows = {} if self._rows is None else {name: self._rows[slot] for name, slot in self._slots.items()}
        return State(rows, {"made": dict(self._made), "step": self._step})

    def restore(self, state: State) -> None:
        """Take over what :meth:`state` returned."""
        made = {name: int(step) for name, step in state.values.get("made", {}).items()}
        self._step = int(state.values.get("step", 0))
        self._slots = {name: slot for slot, name in enumerate(made)}
        self._rows = torch.stack([state.tensors[name] for name in made]) if made else None
        self._made = made
