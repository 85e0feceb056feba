"""Replay of what a generator makes, so that no sample is kept."""

from learner.strategies.generative.build import make_generative
from learner.strategies.generative.config import BrainInspiredReplayConfig, GenerativeReplayConfig, GeneratorConfig
from learner.strategies.generative.networks import MlpClassifier, Split
from learner.strategies.generative.strategy import GENERATED, GenerativeStrategy

__all__ = [
    "GENERATED",
    "BrainInspiredReplayConfig",
    "GenerativeReplayConfig",
    "GenerativeStrategy",
    "GeneratorConfig",
    "MlpClassifier",
    "Split",
    "make_generative",
]
