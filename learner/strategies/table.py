"""Which strategies there are: one line and one config variant for each."""

from collections.abc import Mapping, Sequence
from typing import Annotated, TypeAlias

from pydantic import Field
from torch import nn

from learner.strategies.a_gem import AGemConfig, AGemProjectionConfig, make_a_gem_projection
from learner.strategies.batch import LossFunction
from learner.strategies.composed import ComposedConfig, PenaltyConfig, ProjectionConfig, RehearsalConfig
from learner.strategies.composite import Strategy
from learner.strategies.der import DerConfig, DerRehearsal
from learner.strategies.ewc import EwcAnchor, EwcConfig, OnlineEwcConfig
from learner.strategies.fine_tuning import FineTuningConfig, NoRehearsal
from learner.strategies.gem import GemConfig, GemProjection, GemProjectionConfig
from learner.strategies.generative import (
    BrainInspiredReplayConfig,
    GenerativeReplayConfig,
    GenerativeStrategy,
    make_generative,
)
from learner.strategies.lfl import LflConfig, LflDistillation
from learner.strategies.lwf import LwfConfig, LwfDistillation
from learner.strategies.parts import Anchor, Distillation, Optimizer, Projection, Rehearsal
from learner.strategies.replay import ReplayConfig, ReplayRehearsal
from learner.strategies.si import SiAnchor, SiConfig

ComposableConfig: TypeAlias = (
    FineTuningConfig
    | ReplayConfig
    | DerConfig
    | GemConfig
    | AGemConfig
    | EwcConfig
    | OnlineEwcConfig
    | SiConfig
    | LwfConfig
    | LflConfig
    | ComposedConfig
)
"""Those that are compositions of parts."""

StrategyConfig: TypeAlias = Annotated[
    ComposableConfig | GenerativeReplayConfig | BrainInspiredReplayConfig,
    Field(discriminator="kind"),
]
"""A strategy's settings; an unknown ``kind`` fails with the list of those there are."""


def composition(config: ComposableConfig) -> ComposedConfig:
    """Return the parts that a short kind stands for."""
    match config:
        case ComposedConfig():
            return config
        case FineTuningConfig():
            return ComposedConfig()
        case ReplayConfig() | DerConfig():
            return ComposedConfig(memory=config)
        case GemConfig() | AGemConfig():
            memory = ReplayConfig() if config.replay else None
            return ComposedConfig(memory=memory, projection=config)
        case EwcConfig() | OnlineEwcConfig() | SiConfig() | LwfConfig() | LflConfig():
            return ComposedConfig(penalties=(config,))


def make_strategy(
    config: StrategyConfig,
    model: nn.Module,
    parameters: Sequence[nn.Parameter],
    optimizer: Optimizer,
    loss: LossFunction,
    *,
    clip_norm: float | None = None,
) -> Strategy | GenerativeStrategy:
    """Compose a strategy; the parameters are as of :class:`~learner.strategies.composite.Strategy`.

    Raises
    ------
    ValueError
        If a part cannot be had with the network.
    """
    if isinstance(config, GenerativeReplayConfig | BrainInspiredReplayConfig):
        followed = _anchors(config.penalties, model, parameters)
        return make_generative(config, model, parameters, optimizer, loss, anchors=followed, clip_norm=clip_norm)
    parts = composition(config)
    return Strategy(
        model,
        parameters,
        optimizer,
        loss,
        rehearsal=_rehearsal(parts.memory),
        projection=_projection(parts.projection),
        distillations=_distillations(parts.penalties, model),
        anchors=_anchors(parts.penalties, model, parameters),
        clip_norm=clip_norm,
    )


def _rehearsal(config: RehearsalConfig | None) -> Rehearsal:
    match config:
        case None:
            return NoRehearsal()
        case ReplayConfig():
            return ReplayRehearsal(config)
        case DerConfig():
            return DerRehearsal(config)


def _projection(config: ProjectionConfig | None) -> Projection | None:
    match config:
        case None:
            return None
        case GemProjectionConfig():
            return GemProjection(config)
        case AGemProjectionConfig():
            return make_a_gem_projection()


def _distillations(configs: Sequence[PenaltyConfig], model: nn.Module) -> Mapping[str, Distillation]:
    made: dict[str, Distillation] = {}
    for config in configs:
        match config:
            case LwfConfig():
                made[config.kind] = LwfDistillation(config, model)
            case LflConfig():
                made[config.kind] = LflDistillation(config, model)
            case EwcConfig() | OnlineEwcConfig() | SiConfig():
                pass  # an anchor
    return made


def _anchors(
    configs: Sequence[PenaltyConfig], model: nn.Module, parameters: Sequence[nn.Parameter]
) -> Mapping[str, Anchor]:
    made: dict[str, Anchor] = {}
    for config in configs:
        match config:
            case EwcConfig() | OnlineEwcConfig():
                made[config.kind] = EwcAnchor(config, model, parameters)
            case SiConfig():
                made[config.kind] = SiAnchor(config, parameters)
            case LwfConfig() | LflConfig():
                pass  # a distillation
    return made


def stores_logits(config: StrategyConfig) -> bool:
    """Tell whether a strategy rehearses what the network answered when it learned a sample."""
    return isinstance(config, DerConfig | ComposedConfig) and config.stores_logits
