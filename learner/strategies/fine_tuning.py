"""Learning from new samples only: the lower end of every table."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict
from torch import Tensor

from learner.strategies.batch import Batch
from learner.strategies.parts import Weights


class FineTuningConfig(BaseModel):
    """Learn from new samples only; past domains are forgotten."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["fine_tuning"] = "fine_tuning"


class NoRehearsal:
    """The loss is that of the new samples."""

    def weights(self, new: int, memory: Mapping[str, int], domains: int) -> Weights:  # noqa: ARG002 - the protocol's
        """Give the memory no weight."""
        return Weights(new=1.0, memory={})

    def losses(self, past: Sequence[Batch], logits: Tensor, losses: Tensor) -> None:
        """Minimise the losses as they are."""
