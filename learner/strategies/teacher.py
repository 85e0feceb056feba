"""The network as it was when a domain ended."""

import copy

import torch
from torch import Tensor, nn

from learner.state import State
from learner.strategies.features import FeatureTap, find_classifier
from learner.strategies.parts import Outputs


class Teacher:
    """A frozen copy of a network, once it has been taken.

    Parameters
    ----------
    model : nn.Module
        Copied by :meth:`take`.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._copy: nn.Module | None = None
        self._classifier: nn.Module | None = None

    @property
    def taken(self) -> bool:
        """Whether there is a copy."""
        return self._copy is not None

    def take(self) -> nn.Module:
        """Copy the network as it is now, and return the copy."""
        self._copy = taken = copy.deepcopy(self._model).requires_grad_(requires_grad=False).eval()
        self._classifier = None
        return taken

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Return what the copy answers, (N, K, ...)."""
        assert self._copy is not None, "a network must have been taken"
        logits: Tensor = self._copy(images)
        return logits

    @torch.no_grad()
    def outputs(self, images: Tensor) -> Outputs:
        """Return what the copy answers, with its features."""
        assert self._copy is not None, "a network must have been taken"
        if self._classifier is None:
            self._classifier = find_classifier(self._copy)
        with FeatureTap(self._classifier) as tap:
            logits = self._copy(images)
        return Outputs(logits, tap.features)

    def state(self) -> State:
        """Return the copy."""
        return State({} if self._copy is None else dict(self._copy.state_dict()))

    def restore(self, state: State) -> None:
        """Take over what :meth:`state` returned.

        Raises
        ------
        RuntimeError
            If it is of another network.
        """
        self._copy = None
        if state.tensors:
            self.take().load_state_dict(dict(state.tensors), strict=True)
