import math

import pytest
import torch
from torch import nn

from learner.strategies.generative.autoencoder import Autoencoder, Content
from learner.strategies.generative.config import GeneratorConfig
from learner.strategies.generative.dense import DenseCodec
from learner.strategies.generative.vector import VectorCodec

ONES = torch.ones(1, 1)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Fixed(nn.Module):
    """Encodes to a given Gaussian and decodes to given values."""

    def __init__(self, mean: list[float], log_variance: list[float], made: list[float]) -> None:
        super().__init__()
        self.mean, self.log_variance, self.made = (torch.tensor([x]) for x in (mean, log_variance, made))

    def encode(self, content: Content, hidden: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        return self.mean, self.log_variance

    def decode(self, z: torch.Tensor, contexts: torch.Tensor) -> Content:
        return (self.made,)

    def gates(self) -> list[nn.Module]:
        return []


def test_the_bernoulli_bound_of_a_case_worked_out_by_hand() -> None:
    codec = Fixed([0.5, -1.0], [math.log(4.0), 0.0], [0.0, math.log(3.0)])
    content = (torch.tensor([[1.0, 0.0]]),)
    net = Autoencoder(codec, GeneratorConfig(latent=2, reconstruction="bce"), content, conditional=False)
    elbo = net.elbo(content, None, ONES, ONES, rng())
    # Pixels are said to be 1 with probability 1/2 and 3/4: -(log 1/2 + log 1/4) over two pixels.
    assert elbo.reconstruction.item() == pytest.approx(math.log(8.0) / 2)
    # 1/2 (4 + 1/4 - 1 - log 4) + 1/2 (1 + 1 - 1 - 0) over two pixels.
    assert elbo.latent.item() == pytest.approx((0.5 * (3.25 - math.log(4.0)) + 0.5) / 2)


def test_the_gaussian_bound_of_a_case_worked_out_by_hand() -> None:
    codec = Fixed([0.0], [0.0], [1.0, -1.0])
    # Mean 2 and deviation 1 over all values: the content is (-1, 1) once standardised.
    content = (torch.tensor([[1.0, 3.0]]),)
    net = Autoencoder(codec, GeneratorConfig(latent=1), content, conditional=False)
    elbo = net.elbo(content, None, ONES, ONES, rng())
    assert elbo.reconstruction.item() == pytest.approx(0.5 * (4 + 4) / 2)
    assert elbo.latent.item() == 0.0
    assert torch.equal(net.generate(ONES, ONES, rng())[0], torch.tensor([[3.0, 1.0]]))


def test_the_bound_of_a_mixture_is_the_estimate_of_its_draw() -> None:
    codec = Fixed([0.5], [0.2], [0.0])
    content = (torch.tensor([[0.5]]),)
    net = Autoencoder(codec, GeneratorConfig(latent=1, reconstruction="bce"), content, conditional=True)
    net.add_contexts(2, 0, rng())
    noise = torch.randn(1, 1, generator=rng(7)).item()
    z = 0.5 + noise * math.exp(0.1)
    weights = torch.tensor([[0.3, 0.7]])
    means = torch.cat(list(net.prior.means)).flatten().tolist()
    log_q = -0.5 * (math.log(2 * math.pi) + 0.2 + noise**2)
    density = sum(
        w * math.exp(-0.5 * (z - m) ** 2) / math.sqrt(2 * math.pi) for w, m in zip((0.3, 0.7), means, strict=True)
    )
    elbo = net.elbo(content, None, weights, ONES, rng(7))
    assert elbo.latent.item() == pytest.approx(log_q - math.log(density), rel=1e-4)


def test_probabilities_must_be_probabilities() -> None:
    content = (torch.tensor([[1.0, 2.0]]),)
    net = Autoencoder(
        Fixed([0.0], [0.0], [0.0, 0.0]), GeneratorConfig(latent=1, reconstruction="bce"), content, conditional=False
    )
    with pytest.raises(ValueError, match=r"\[0, 1\]; use 'mse'"):
        net.elbo(content, None, ONES, ONES, rng())


def test_a_batch_of_one_vector_is_not_kept_as_its_own_mean() -> None:
    content = (torch.randn(1, 10, generator=rng()),)
    net = Autoencoder(VectorCodec(10, None, GeneratorConfig(), None), GeneratorConfig(), content, conditional=False)
    assert net.get_buffer("mean_0").numel() == 1


@pytest.mark.parametrize("share", [None, 0.5])
@pytest.mark.parametrize("hidden", [None, 7])
def test_vectors_of_the_right_shape_and_a_gradient_for_every_parameter(share: float | None, hidden: int | None) -> None:
    config = GeneratorConfig(latent=3, hidden=(8, 6))
    content = (torch.randn(4, 5, generator=rng()),)
    net = Autoencoder(VectorCodec(5, hidden, config, share), config, content, conditional=True)
    net.add_contexts(2, 2, rng())
    weights = torch.eye(2)[[0, 1, 0, 1]]
    given = None if hidden is None else torch.rand(4, hidden, generator=rng())
    elbo = net.elbo(content, given, weights, weights, rng())
    assert elbo.reconstruction.shape == elbo.latent.shape == (4,)
    (elbo.reconstruction + elbo.latent).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())
    assert net.generate(weights, weights, rng())[0].shape == (4, 5)


@pytest.mark.parametrize("shapes", [((1, 32, 32),), ((3, 16, 24), (4, 8, 12), (5, 4, 6)), ((3, 8, 8), (2, 8, 8))])
@pytest.mark.parametrize("hidden", [None, 7])
def test_maps_of_the_right_shapes_and_a_gradient_for_every_parameter(
    shapes: tuple[tuple[int, ...], ...], hidden: int | None
) -> None:
    config = GeneratorConfig(latent=3, hidden=(16,), channels=6)
    content = tuple(torch.randn(4, *shape, generator=rng(i)) for i, shape in enumerate(shapes))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        codec = DenseCodec(shapes, hidden, config, 0.5)
    net = Autoencoder(codec, config, content, conditional=True)
    net.add_contexts(2, 2, rng())
    weights = torch.eye(2)[[0, 1, 0, 1]]
    given = None if hidden is None else torch.rand(4, hidden, 4, 4, generator=rng())
    elbo = net.elbo(content, given, weights, weights, rng())
    (elbo.reconstruction + elbo.latent).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())
    assert [tuple(level.shape[1:]) for level in net.generate(weights, weights, rng())] == list(shapes)
