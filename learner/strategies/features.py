"""What the layer that makes the logits is given."""

from types import TracebackType
from typing import Self

from torch import Tensor, nn


def find_classifier(model: nn.Module) -> nn.Module:
    """Return the layer that makes the logits: the last one that has parameters.

    Raises
    ------
    ValueError
        If nothing comes before it: there are no features then.
    """
    layers = [module for module in model.modules() if next(module.parameters(recurse=False), None) is not None]
    if len(layers) < 2:  # noqa: PLR2004 - features come from one, the classifier is another
        msg = "a network of a single layer has no features before its classifier"
        raise ValueError(msg)
    return layers[-1]


class FeatureTap:
    """Keeps what a layer is given while the network runs.

    Parameters
    ----------
    layer : nn.Module
        Runs once in a pass.
    """

    def __init__(self, layer: nn.Module) -> None:
        self._layer = layer
        self._features: Tensor | None = None

    @property
    def features(self) -> Tensor:
        """What the layer was given, (N, C, ...).

        Raises
        ------
        RuntimeError
            If it did not run.
        """
        if self._features is None:
            msg = "the classifier did not run"
            raise RuntimeError(msg)
        return self._features

    def __enter__(self) -> Self:
        self._hook = self._layer.register_forward_pre_hook(self._keep)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hook.remove()

    def _keep(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._features = inputs[0]
