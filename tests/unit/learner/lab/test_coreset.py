import numpy as np
import pytest
import torch
from torch import nn

from learner.lab.coreset import Coreset, by_gradient, by_what_it_shows
from learner.lab.memory import LabMemory
from learner.lab.networks import MlpConfig, build_network
from learner.lab.settings import MemoryConfig
from learner.lab.streams import DigitsConfig
from learner.strategies import Batch
from tests.unit.learner.lab.test_memory import batch, kept


def test_of_the_closest_pair_the_one_in_the_crowd_goes() -> None:
    coreset = Coreset(4)
    for slot, place in enumerate((0.0, 10.0, 14.0, 30.0)):
        coreset.put(slot, np.array([place], np.float32))
    slots = [0, 1, 2, 3]
    assert coreset.most_redundant(slots, np.array([31.0], np.float32)) == 3
    assert coreset.most_redundant(slots, np.array([29.5], np.float32)) is None
    assert coreset.most_redundant(slots, np.array([50.0], np.float32)) == 1
    assert coreset.nearest(slots) == 1
    coreset.put(1, np.array([-20.0], np.float32))
    assert coreset.nearest(slots) == 2


def test_a_diverse_memory_covers_what_a_reservoir_repeats() -> None:
    m = LabMemory(
        MemoryConfig(samples=6, policy="diverse", draw=None),
        1,
        np.random.default_rng(0),
        lambda b: b.images.flatten(1).numpy(),
    )
    values = [*range(0, 100, 20), *([50] * 40), 100]
    m.add(Batch(torch.tensor([[float(v)] for v in values]), torch.zeros(len(values), dtype=torch.int64)), 0)
    assert kept(m) == [0, 20, 40, 60, 80, 100]


def test_domains_have_equal_shares() -> None:
    m = LabMemory(
        MemoryConfig(samples=12, policy="diverse", draw=None),
        3,
        np.random.default_rng(0),
        lambda b: b.images.flatten(1).numpy(),
    )
    for domain in range(3):
        m.add(batch(range(1000 * domain, 1000 * domain + 30)), domain)
    assert [m.count(domain) for domain in range(3)] == [4, 4, 4]


def test_gradients_are_those_of_the_output_layer() -> None:
    stream = DigitsConfig(domains=1).open(0)
    model = build_network(MlpConfig(hidden=(7,)), stream, 0)
    some = stream.domains[0].train.take(slice(5))
    found = by_gradient(model)(some)
    (layer,) = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == 10]
    expected = []
    for i in range(5):
        model.zero_grad()
        nn.functional.cross_entropy(model(some.images[i : i + 1]), some.targets[i : i + 1]).backward()
        expected.append(layer.weight.grad.flatten().clone())
    projection = torch.randn(70, 64, generator=torch.Generator().manual_seed(0))
    reference = nn.functional.normalize(torch.stack(expected) @ projection)
    assert found == pytest.approx(reference.numpy(), abs=1e-5)


def test_classes_lie_where_their_images_do() -> None:
    stream = DigitsConfig(domains=1).open(0)
    model = build_network(MlpConfig(), stream, 0)
    some = stream.domains[0].train.take(slice(3))
    assert (by_what_it_shows(model, stream)(some) == some.images.numpy()).all()
