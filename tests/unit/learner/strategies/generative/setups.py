"""Small networks with a strategy over each, and batches for them."""

import torch
from torch import nn

from learner.losses import ClassLoss, LossConfig, SegmentationLoss
from learner.model import ModelConfig, build_model
from learner.strategies import Batch
from learner.strategies.generative import (
    BrainInspiredReplayConfig,
    GenerativeReplayConfig,
    GeneratorConfig,
    MlpClassifier,
    make_generative,
)
from learner.strategies.parts import Anchor

Config = GenerativeReplayConfig | BrainInspiredReplayConfig
SMALL = GeneratorConfig(latent=6, hidden=(16, 16), channels=6)
BIR = BrainInspiredReplayConfig(generator=SMALL)
GR = GenerativeReplayConfig(generator=SMALL)
CLASSES = 3
VALUES = 12


def switched_off(part: str, config: BrainInspiredReplayConfig = BIR) -> BrainInspiredReplayConfig:
    return config.model_copy(update={part: False})


class Labels:
    """A classifier with a front, on vectors."""

    def __init__(self, config: Config, anchors: dict[str, Anchor] | None = None, weight_decay: float = 0.1) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.model: nn.Module = MlpClassifier(8, CLASSES, (16, 10), nn.Sequential(nn.Linear(VALUES, 8), nn.ReLU()))
        self.parameters = tuple(self.model.parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-2, weight_decay=weight_decay)
        self.strategy = make_generative(
            config, self.model, self.parameters, self.optimizer, ClassLoss(), anchors=anchors
        )

    @staticmethod
    def batch(seed: int, count: int = 10) -> Batch:
        generator = torch.Generator().manual_seed(seed)
        return Batch(
            torch.randn(count, VALUES, generator=generator), torch.randint(CLASSES, (count,), generator=generator)
        )


class Masks:
    """A U-Net, on images."""

    def __init__(self, config: Config) -> None:
        model = ModelConfig(encoder="resnet18", encoder_depth=3, decoder_channels=(8, 8, 8), pretrained=False)
        self.model: nn.Module = build_model(model, 2)
        self.parameters = tuple(self.model.parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-3, weight_decay=0.1)
        self.strategy = make_generative(
            config, self.model, self.parameters, self.optimizer, SegmentationLoss(LossConfig())
        )

    @staticmethod
    def batch(seed: int, count: int = 4) -> Batch:
        generator = torch.Generator().manual_seed(seed)
        images = torch.randn(count, 1, 32, 32, generator=generator)
        masks = (images[:, 0] > 1.0).long()
        masks[0] = 0
        return Batch(images, masks)


def two_domains(setup: Labels | Masks, steps: int = 2) -> None:
    """Learn one domain, end it, and begin another."""
    setup.strategy.begin_domain("a")
    for seed in range(steps):
        setup.strategy.observe(setup.batch(seed), {})
    setup.strategy.end_domain({})
    setup.strategy.begin_domain("b")
    setup.strategy.observe(setup.batch(steps), {})
