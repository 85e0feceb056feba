"""The product's kind of network on masks."""

import pytest
import torch

from learner.lab.networks import SegmenterConfig, build_network, estimate_statistics
from learner.lab.presets import method_named
from learner.lab.results import scores
from learner.lab.runner import run
from learner.lab.settings import EvaluationConfig, Job, OptimizerConfig, ReleaseConfig, Schedule
from learner.lab.streams import SimulatorConfig
from learner.model import ModelConfig
from learner.strategies import Batch

STREAM = SimulatorConfig(domains=2, welds=5, frames=2, size=64, validation_share=0.2)
NETWORK = SegmenterConfig(
    model=ModelConfig(encoder_depth=3, decoder_channels=(16, 8, 8), pretrained=False), statistics="first_domain"
)


@pytest.mark.parametrize("kind", ["replay", "der"])
def test_a_stream_of_masks_is_learned_and_described(kind: str) -> None:
    optimizer = OptimizerConfig(kind="adamw", learning_rate=1e-3)
    result = run(
        Job(
            stream=STREAM,
            network=NETWORK,
            method=method_named(kind, samples=8, draw=2, optimizer=optimizer),
            schedule=Schedule(batch_size=3, steps_per_batch=2),
            evaluation=EvaluationConfig(every=2, ahead=False),
            releases=ReleaseConfig(every=2),
            augment=True,
        )
    )
    assert result.score == "Dice"
    assert result.steps == 8
    assert all(len(domain.dice) == len(domain.iou) == 6 for domain in result.domains)
    for domain in result.domains:
        for dice, iou in zip(domain.dice, domain.iou, strict=True):
            assert iou == pytest.approx(dice / (2 - dice))
    assert "false calls per frame" in scores(result)
    assert result.served is not None
    assert len(result.served.versions) + result.served.refused == 4


def test_statistics_are_those_of_the_first_domain() -> None:
    stream = STREAM.open(0)
    model = build_network(NETWORK, stream, 0)
    assert not model.training
    images = torch.randn(32, 1, 64, 64) * 3 + 1
    norm = next(m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d))
    estimate_statistics(model, images)
    assert norm.momentum is not None
    seen: list[torch.Tensor] = []
    hook = norm.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    model(images)
    hook.remove()
    assert norm.running_mean is not None
    torch.testing.assert_close(norm.running_mean, seen[0].mean(dim=(0, 2, 3)), rtol=1e-3, atol=1e-3)


def test_augmentation_moves_image_and_mask_together() -> None:
    from learner.lab.augment import augmented

    image = torch.zeros(64, 1, 8, 8)
    image[:, :, :, 0] = 100.0
    new = augmented(Batch(image, (image[:, 0] > 0).long()), torch.Generator().manual_seed(0))
    assert torch.equal(new.images[:, 0] > 50, new.targets.bool())
    assert 10 < int(new.targets[:, 0, 7].sum()) < 54
