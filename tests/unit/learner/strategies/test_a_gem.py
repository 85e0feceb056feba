import pytest
import torch

from learner.strategies import Batch
from learner.strategies.a_gem import AGemConfig, make_a_gem_projection
from tests.contracts.strategy import Setup, make_batch


def test_it_is_the_papers_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        gradient, reference = torch.randn(50, generator=generator), torch.randn(50, generator=generator)
        result = make_a_gem_projection()(gradient, reference[None], "m", "m")
        product = torch.dot(gradient, reference)
        expected = gradient - min(0.0, float(product / torch.dot(reference, reference))) * reference
        assert torch.allclose(result.gradient, expected, atol=1e-6)
        assert bool(result.violated) == (product < 0)


@pytest.mark.parametrize("groupable", [True, False])
def test_the_reference_is_the_mean_over_the_whole_memory(groupable: bool) -> None:
    memory = {"a": make_batch(1, 2), "b": make_batch(2, 5)}
    split, joined = Setup(AGemConfig()), Setup(AGemConfig())
    split.strategy._passes._groupable = groupable
    images = memory["b"].images
    new = Batch(images, 2 - memory["b"].targets)  # the opposite of what is remembered
    ours = split.strategy.observe(new, memory)
    theirs = joined.strategy.observe(new, {"all": Batch.join(list(memory.values()))})
    assert ours.violated == (("a", "b") if theirs.violated else ())
    assert theirs.violated  # or the test shows nothing
    assert ours.gradient_norm == pytest.approx(theirs.gradient_norm, rel=1e-5)
    for a, b in zip(split.parameters, joined.parameters, strict=True):
        assert torch.allclose(a, b, atol=1e-5)
