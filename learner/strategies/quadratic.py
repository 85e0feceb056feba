"""A sum of quadratic penalties on the parameters, in the space of one."""

from dataclasses import dataclass

import torch
from torch import Tensor

from learner.state import State
from learner.strategies.parts import Pull


@dataclass
class Quadratic:
    """The function ``sum importance (theta - centre)^2 + rest``.

    Such functions add up to one of their kind, exactly: however many domains
    there were, penalty and state cost the same.

    Attributes
    ----------
    importance, centre : Tensor
        (P,) float32, importance at least 0.
    rest : float
        What is left where theta is at the centre.
    """

    importance: Tensor
    centre: Tensor
    rest: float = 0.0

    def add(self, importance: Tensor, centre: Tensor) -> None:
        """Add ``sum importance (theta - centre)^2``."""
        total = self.importance + importance
        # Where neither is above zero the centre does not matter.
        share = torch.where(total > 0, importance / total, 0.0)
        apart = centre - self.centre
        self.rest += float((self.importance * share * apart.square()).sum(dtype=torch.float64))
        self.centre = torch.where(self.importance > 0, self.centre + share * apart, centre)
        self.importance = total

    def pull(self, parameters: Tensor, weight: float) -> Pull:
        """Return the function times a weight, and its gradient."""
        apart = parameters - self.centre
        held = self.importance * apart
        return Pull(weight * (torch.dot(held, apart) + self.rest), (2.0 * weight) * held)

    def state(self) -> State:
        """Return the function."""
        return State({"importance": self.importance, "centre": self.centre}, {"rest": self.rest})

    @classmethod
    def of(cls, state: State) -> "Quadratic":
        """Return the function that :meth:`state` told of."""
        tensors = state.tensors
        return cls(tensors["importance"].clone(), tensors["centre"].clone(), float(state.values["rest"]))
