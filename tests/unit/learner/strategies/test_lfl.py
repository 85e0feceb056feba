import pytest
import torch
from torch import nn

from learner.losses import LossConfig, SegmentationLoss
from learner.model import ModelConfig, build_model, used_parameters
from learner.strategies import Batch, make_strategy
from learner.strategies.features import FeatureTap, find_classifier
from learner.strategies.lfl import LflConfig
from tests.contracts.strategy import Labels, Setup, make_batch


def test_of_a_u_net_the_features_are_those_of_the_last_decoder_stage() -> None:
    model = build_model(ModelConfig(pretrained=False), 3)
    layer = find_classifier(model)
    assert layer is model.net.segmentation_head[0]
    images = torch.zeros(2, 1, 64, 64)
    with FeatureTap(layer) as tap, torch.no_grad():
        model(images)
    with torch.no_grad():
        decoded = model.net.decoder(model.net.encoder(images))
    assert torch.equal(tap.features, decoded)
    assert tap.features.shape == (2, 16, 64, 64)
    assert not layer._forward_pre_hooks


def test_it_learns_on_a_u_net() -> None:
    model = build_model(ModelConfig(pretrained=False), 3)
    parameters = tuple(used_parameters(model, 64).values())
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    strategy = make_strategy(LflConfig(), model, parameters, optimizer, SegmentationLoss(LossConfig()))
    generator = torch.Generator().manual_seed(0)
    batch = Batch(torch.randn(2, 1, 64, 64, generator=generator), torch.ones(2, 64, 64, dtype=torch.int64))
    strategy.observe(batch, {})
    strategy.end_domain({})
    head = [p.clone() for p in model.net.segmentation_head.parameters()]
    losses = [strategy.observe(batch, {}) for _ in range(6)]
    assert losses[-1].loss < losses[0].loss
    assert losses[-1].penalty > 0
    assert all(torch.equal(a, b) for a, b in zip(head, model.net.segmentation_head.parameters(), strict=True))


def test_the_penalty_is_half_the_squared_distance_of_the_features() -> None:
    setup, batch = Setup(LflConfig(weight=3.0, rate_factor=1.0)), make_batch(4)
    setup.learn_a_domain("masks")
    with torch.no_grad():
        before = setup.model[:3](batch.images)
    setup.strategy.observe(batch, {})
    with torch.no_grad():
        after = setup.model[:3](batch.images)
    report = setup.strategy.observe(batch, {})
    expected = 1.5 * (after - before).square().sum(1).mean()
    assert report.penalty == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("labels", ["masks", "classes"])
def test_from_the_second_domain_on_the_classifier_stays_and_the_rest_moves_slower(labels: Labels) -> None:
    setup, batch = Setup(LflConfig(rate_factor=0.1), labels), make_batch(4, labels=labels)
    classifier = find_classifier(setup.model)
    before = classifier.weight.clone()
    setup.learn_a_domain(labels)
    learned = classifier.weight.clone()
    assert not torch.equal(before, learned)
    first = setup.model[0].weight.clone()
    setup.strategy.observe(batch, {})
    assert torch.equal(classifier.weight, learned)
    assert 0 < (setup.model[0].weight - first).abs().max() <= 0.1 * 1e-2 * 1.01
    assert setup.optimizer.param_groups[0]["lr"] == 1e-2


def test_a_network_of_one_layer_has_no_features() -> None:
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="no features before its classifier"):
        make_strategy(LflConfig(), model, tuple(model.parameters()), optimizer, SegmentationLoss(LossConfig()))
