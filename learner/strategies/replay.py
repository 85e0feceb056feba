"""Experience replay: samples of past domains are learned again beside the new ones."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict
from torch import Tensor

from learner.strategies.batch import Batch
from learner.strategies.parts import Weights


class ReplayConfig(BaseModel):
    """Experience replay (Chaudhry et al. 2019).

    Attributes
    ----------
    weighting : str
        ``samples``: one mean loss over new and replayed samples. ``domains``:
        with T domains so far, the new samples weigh 1/T and the replayed ones
        together 1 - 1/T, however many there are (van de Ven et al. 2020).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["replay"] = "replay"
    weighting: Literal["samples", "domains"] = "samples"


class ReplayRehearsal:
    """Replayed samples are learned like new ones.

    Parameters
    ----------
    config : ReplayConfig
        What they weigh.
    """

    def __init__(self, config: ReplayConfig) -> None:
        self._config = config

    def weights(self, new: int, memory: Mapping[str, int], domains: int) -> Weights:
        """Weigh each group by its number of samples, within the share of all that is replayed."""
        past = sum(memory.values())
        if not past:
            return Weights(new=1.0, memory={})
        # A memory that holds samples of the first domain already counts as one more domain.
        share = new / (new + past) if self._config.weighting == "samples" else 1.0 / max(2, domains)
        return Weights(new=share, memory={name: (1.0 - share) * count / past for name, count in memory.items()})

    def losses(self, past: Sequence[Batch], logits: Tensor, losses: Tensor) -> None:
        """Minimise the losses as they are."""
