"""Which strategies there are: one line and one config variant for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from pydantic import Field
from torch import nn

from learner.strategies.batch import LossFunction
from learner.strategies.composite import Strategy
from learner.strategies.fine_tuning import FineTuningConfig, NoRehearsal
from learner.strategies.gem import GemConfig, GemProjection
from learner.strategies.generative import (
    BrainInspiredReplayConfig,
    GenerativeReplayConfig,
    GenerativeStrategy,
    make_generative,
)
from learner.strategies.parts import NO_PENALTIES, Optimizer, Penalty, Projection, Rehearsal
from learner.strategies.replay import MeanRehearsal, ReplayConfig

StrategyConfig: TypeAlias = Annotated[
    FineTuningConfig | ReplayConfig | GemConfig | GenerativeReplayConfig | BrainInspiredReplayConfig,
    Field(discriminator="kind"),
]
"""A strategy's settings; an unknown ``kind`` fails with the list of those there are."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a strategy is composed of."""

    rehearsal: Rehearsal
    projection: Projection | None = None
    penalties: Sequence[Penalty] = NO_PENALTIES


def parts_of(config: FineTuningConfig | ReplayConfig | GemConfig) -> Parts:
    """Return the parts that a strategy is made of."""
    match config:
        case FineTuningConfig():
            return Parts(NoRehearsal())
        case ReplayConfig():
            return Parts(MeanRehearsal())
        case GemConfig():
            return Parts(MeanRehearsal() if config.replay else NoRehearsal(), GemProjection(config))


def make_strategy(
    config: FineTuningConfig | ReplayConfig | GemConfig | GenerativeReplayConfig | BrainInspiredReplayConfig,
    model: nn.Module,
    parameters: Sequence[nn.Parameter],
    optimizer: Optimizer,
    loss: LossFunction,
    *,
    clip_norm: float | None = None,
) -> Strategy | GenerativeStrategy:
    """Compose a strategy; the parameters are as of :class:`~learner.strategies.composite.Strategy`."""
    if isinstance(config, GenerativeReplayConfig | BrainInspiredReplayConfig):
        return make_generative(config, model, parameters, optimizer, loss, clip_norm=clip_norm)
    parts = parts_of(config)
    return Strategy(
        model,
        parameters,
        optimizer,
        loss,
        rehearsal=parts.rehearsal,
        projection=parts.projection,
        penalties=parts.penalties,
        clip_norm=clip_norm,
    )
