"""A strategy composed by configuration: a memory, penalties and a projection."""

from collections import Counter
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from learner.strategies.a_gem import AGemProjectionConfig
from learner.strategies.der import DerConfig
from learner.strategies.ewc import EwcConfig, OnlineEwcConfig
from learner.strategies.gem import GemProjectionConfig
from learner.strategies.lfl import LflConfig
from learner.strategies.lwf import LwfConfig
from learner.strategies.replay import ReplayConfig
from learner.strategies.si import SiConfig

RehearsalConfig: TypeAlias = Annotated[ReplayConfig | DerConfig, Field(discriminator="kind")]
PenaltyConfig: TypeAlias = Annotated[
    EwcConfig | OnlineEwcConfig | SiConfig | LwfConfig | LflConfig, Field(discriminator="kind")
]
ProjectionConfig: TypeAlias = Annotated[GemProjectionConfig | AGemProjectionConfig, Field(discriminator="kind")]


class ComposedConfig(BaseModel):
    """Parts that are chosen one by one; nothing chosen is fine-tuning.

    Attributes
    ----------
    memory : ReplayConfig, DerConfig or None
        How samples of past domains enter the loss.
    penalties : tuple
        What holds the network to what it knew: ``ewc`` or ``online_ewc``,
        ``si``, ``lwf``, ``lfl``, each once.
    projection : GemProjectionConfig, AGemProjectionConfig or None
        How past domains constrain the step.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["composed"] = "composed"
    memory: RehearsalConfig | None = None
    penalties: tuple[PenaltyConfig, ...] = ()
    projection: ProjectionConfig | None = None

    @property
    def stores_logits(self) -> bool:
        """Whether samples are to be stored with what the network answers."""
        return isinstance(self.memory, DerConfig) and self.memory.stores_logits

    @model_validator(mode="after")
    def _parts_go_together(self) -> Self:
        counts = Counter(penalty.kind for penalty in self.penalties)
        twice = [kind for kind, count in counts.items() if count > 1]
        if twice:
            msg = f"penalties name {', '.join(twice)} more than once"
            raise ValueError(msg)
        if {"ewc", "online_ewc"} <= set(counts):
            msg = "ewc and online_ewc are two forms of one penalty: choose one"
            raise ValueError(msg)
        return self
