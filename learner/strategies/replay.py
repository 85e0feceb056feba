"""Experience replay: samples of past domains are learned again beside the new ones."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from learner.strategies.parts import Weights


class ReplayConfig(BaseModel):
    """Experience replay (Chaudhry et al. 2019): one mean loss over new and replayed samples."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["replay"] = "replay"


class MeanRehearsal:
    """Every sample, new or replayed, weighs the same."""

    def weights(self, new: int, memory: Mapping[str, int]) -> Weights:
        """Weigh each group by its number of samples."""
        total = new + sum(memory.values())
        return Weights(new=new / total, memory={name: count / total for name, count in memory.items()})
