from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from prometheus_client import CollectorRegistry

from learner.crops import CropConfig
from learner.learning import Learning
from learner.model import ModelConfig, build_model
from learner.settings import TrainingSettings
from learner.strategies.lfl import LflConfig
from learner.telemetry import LearnerMetrics
from learner.trainer import Trainer, TrainerConfig
from memory.samples import Sample
from memory.sampling import Policy
from tests.unit.learner.samples import make_samples


def samples_of(domain: str) -> list[Sample]:
    made = make_samples(4, domain)
    return [Sample(f"{domain}{i}", domain, "w", s.pixels, s.mask) for i, s in enumerate(made)]


async def test_a_first_model_of_several_domains_is_trained_before_any_of_them_ends() -> None:
    """Ending a domain freezes or consolidates: weights that know nothing yet must not be what is held."""
    config = TrainerConfig(crops=CropConfig(size=64))
    model = build_model(ModelConfig(), 3)
    trainer = Trainer(model, LflConfig(), config, torch.device("cpu"), np.random.default_rng(0))
    samples = [*samples_of("a"), *samples_of("b")]

    async def draw(policy: Policy) -> list[Sample]:
        return samples_of("a")

    with ThreadPoolExecutor(1) as executor:
        learning = Learning(
            trainer,
            draw=draw,
            peek=draw,
            settings=TrainingSettings(),
            executor=executor,
            metrics=LearnerMetrics(CollectorRegistry()),
        )
        head = [p.detach().clone() for p in model.net.segmentation_head.parameters()]
        await learning.pretrain(samples, lambda trainer, given: trainer.pretrain(given, steps=2))
    assert learning.domains == ("a", "b")
    trained = list(model.net.segmentation_head.parameters())
    assert not any(torch.equal(before, after) for before, after in zip(head, trained, strict=True))
    assert not any(p.requires_grad for p in trained)  # the first domain ended afterwards
