"""From settings to a strategy that replays what it generates."""

from collections.abc import Mapping, Sequence

from torch import nn

from learner.losses import SegmentationLoss
from learner.strategies.batch import LossFunction
from learner.strategies.generative.config import BrainInspiredReplayConfig, GenerativeReplayConfig, Key
from learner.strategies.generative.generator import Plan
from learner.strategies.generative.strategy import GenerativeStrategy
from learner.strategies.generative.targets import Targets
from learner.strategies.parts import Anchor, Optimizer


def make_generative(
    config: GenerativeReplayConfig | BrainInspiredReplayConfig,
    model: nn.Module,
    parameters: Sequence[nn.Parameter],
    optimizer: Optimizer,
    loss: LossFunction,
    *,
    anchors: Mapping[str, Anchor] | None = None,
    clip_norm: float | None = None,
) -> GenerativeStrategy:
    """Build the strategy; the parameters are as of :class:`~learner.strategies.composite.Strategy`.

    Raises
    ------
    ValueError
        If the network lacks what a part of the strategy needs.
    """
    labels = not isinstance(loss, SegmentationLoss)
    # Deep generative replay is what is left when every part that the brain inspired is switched off.
    parts = config if isinstance(config, BrainInspiredReplayConfig) else None
    return GenerativeStrategy(
        model,
        parameters,
        optimizer,
        plan=Plan(
            config.generator,
            modes_by=_modes(parts, labels=labels) if parts and parts.conditional else None,
            gates_by=_gates(parts, labels=labels) if parts and parts.gating else None,
            gated_share=parts.gated_share if parts else 0.0,
            seed=config.seed,
        ),
        targets=Targets(
            config.scenario,
            config.distill,
            config.temperature,
            own_head=bool(parts and parts.conditional),
            loss=loss,
        ),
        internal=bool(parts and parts.internal),
        feedback=bool(parts and parts.feedback),
        seed=config.seed,
        anchors=anchors,
        clip_norm=clip_norm,
    )


def _modes(config: BrainInspiredReplayConfig, *, labels: bool) -> Key:
    if config.modes_by != "auto":
        return config.modes_by
    return "class" if labels else "pair"


def _gates(config: BrainInspiredReplayConfig, *, labels: bool) -> Key:
    if config.gates_by != "auto":
        return config.gates_by
    return "class" if labels and config.scenario != "domain" else "domain"
