"""Strategies of continual learning: one step, composed of parts, chosen by a setting."""

from learner.strategies.batch import Batch, LossFunction, StepReport
from learner.strategies.composite import DivergedError, Strategy
from learner.strategies.table import StrategyConfig, make_strategy, stores_logits

__all__ = [
    "Batch",
    "DivergedError",
    "LossFunction",
    "StepReport",
    "Strategy",
    "StrategyConfig",
    "make_strategy",
    "stores_logits",
]
