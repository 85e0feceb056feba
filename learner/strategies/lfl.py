"""Less-forgetting learning: the features of new samples shall stay, and the classifier with them."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from learner.state import State
from learner.strategies.batch import Batch
from learner.strategies.features import find_classifier
from learner.strategies.parts import Outputs
from learner.strategies.teacher import Teacher


class LflConfig(BaseModel):
    """Less-forgetting learning (Jung et al. 2016).

    Once a domain has ended, the layer that makes the logits is frozen, and the
    features that it is given (of a U-Net: those of the last decoder stage)
    are held to what the network made of the same images at the end of the
    domain before.

    Attributes
    ----------
    weight : float
        The paper's lambda_e: the penalty is ``lambda_e/2 ||f - f_old||^2``,
        the mean over samples, and over pixels where there are any.
    rate_factor : float
        What the learning rate is multiplied by from the second domain on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["lfl"] = "lfl"
    weight: Annotated[float, Field(gt=0)] = 1e-2
    rate_factor: Annotated[float, Field(gt=0, le=1)] = 0.1


class LflDistillation:
    """Holds the features to those of the network at the end of the last domain.

    Parameters
    ----------
    config : LflConfig
        How strongly.
    model : nn.Module
        Copied when a domain ends; its classifier is frozen from then on.
    """

    needs_features = True

    def __init__(self, config: LflConfig, model: nn.Module) -> None:
        self._config = config
        self._classifier = find_classifier(model)
        self._teacher = Teacher(model)

    @property
    def rate_factor(self) -> float:
        """What the learning rate is multiplied by: 1 in the first domain."""
        return self._config.rate_factor if self._teacher.taken else 1.0

    def loss(self, images: Tensor, outputs: Outputs) -> Tensor | None:
        """Return the weighted mean over the samples; None before the first domain ended."""
        if not self._teacher.taken:
            return None
        before = self._teacher.outputs(images).features
        assert outputs.features is not None
        assert before is not None
        return 0.5 * self._config.weight * (outputs.features - before).square().sum(dim=1).mean()

    def end_domain(self, samples: Sequence[Batch]) -> None:  # noqa: ARG002 - the protocol's
        """Take the features of the network as they are as those to keep, and freeze the classifier."""
        self._teacher.take()
        self._freeze()

    def _freeze(self) -> None:
        """Let the classifier learn in the first domain only."""
        for parameter in self._classifier.parameters():
            parameter.requires_grad_(not self._teacher.taken)
            parameter.grad = None

    def state(self) -> State:
        """Return the network that is held to."""
        return self._teacher.state()

    def restore(self, state: State) -> None:
        """Take over what :meth:`state` returned."""
        self._teacher.restore(state)
        self._freeze()
