import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from learner.losses import ClassLoss
from learner.strategies import Batch
from learner.strategies.composed import ComposedConfig
from learner.strategies.der import DerConfig, DerRehearsal, distances, rightness
from learner.strategies.replay import ReplayConfig
from tests.contracts.strategy import CLASSES, Setup, make_batch


def make_past(n: int, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return Batch(
        torch.zeros(n, 1), torch.randint(10, (n,), generator=generator), torch.randn(n, 10, generator=generator)
    )


def test_two_draws_one_after_the_other_are_buzzegas_loss() -> None:
    first, second = make_past(6), make_past(6, seed=1)
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(12, 10, generator=generator)
    past = [Batch.join([first, second])]
    losses = DerRehearsal(DerConfig(alpha=1.0, beta=0.5, only_right=False)).losses(
        past, logits, ClassLoss()(logits, past[0].targets)
    )
    assert first.logits is not None
    expected = functional.mse_loss(logits[:6], first.logits) + 0.5 * functional.cross_entropy(
        logits[6:], second.targets
    )
    assert float(losses.mean()) == pytest.approx(float(expected), rel=1e-6)


def test_the_step_descends_the_sum_over_all_past_samples() -> None:
    config = DerConfig(alpha=0.7, beta=0.3, only_right=False)
    setup = Setup(config)
    memory = {"a": make_batch(1, 4), "b": make_batch(2, 2)}
    new = make_batch(3)
    report = setup.strategy.observe(new, memory)
    other = Setup(config)
    loss = other.strategy._passes._loss
    total = loss(other.model(new.images), new.targets).mean()
    for samples in memory.values():
        half = len(samples) // 2
        logits = other.model(samples.images)
        assert samples.logits is not None
        mse = functional.mse_loss(functional.avg_pool2d(logits[:half], 4), samples.logits[:half])
        share = len(samples) / 6
        total = total + share * (0.7 * mse + 0.3 * loss(logits[half:], samples.targets[half:]).mean())
    total.backward()
    expected = torch.cat([p.grad.flatten() for p in other.parameters if p.grad is not None])
    assert report.gradient_norm == pytest.approx(float(expected.norm()), rel=1e-5)
    with torch.no_grad():
        losses = {name: float(loss(other.model(b.images), b.targets).mean()) for name, b in memory.items()}
    assert report.memory_losses == pytest.approx(losses, rel=1e-5)


def test_of_an_odd_number_the_middle_one_serves_for_both() -> None:
    past, logits = [make_past(1), make_past(3, seed=1)], torch.zeros(4, 10)
    losses = ClassLoss()(logits, torch.zeros(4, dtype=torch.int64))
    found = DerRehearsal(DerConfig(alpha=1.0, beta=1.0, only_right=False)).losses(past, logits, losses)
    stored = torch.cat([p.logits for p in past if p.logits is not None]).square().mean(1)
    expected = torch.stack([stored[0] + losses[0], 1.5 * stored[1], 1.5 * (stored[2] + losses[2]), 1.5 * losses[3]])
    assert torch.allclose(found, expected)


def test_without_labels_all_samples_serve_the_logits() -> None:
    past, logits = make_past(3), torch.zeros(3, 10)
    found = DerRehearsal(DerConfig(alpha=2.0, beta=0, only_right=False)).losses([past], logits, torch.ones(3))
    assert torch.allclose(found, 2 * distances(logits, past.logits))


def test_coarse_logits_are_compared_with_averages() -> None:
    logits = torch.arange(2 * 3 * 8 * 4, dtype=torch.float32).view(2, 3, 8, 4)
    stored = functional.avg_pool2d(logits, 4)
    assert distances(logits, stored).tolist() == [0.0, 0.0]
    assert distances(logits, stored + 2.0).tolist() == [4.0, 4.0]


def test_a_sample_stored_without_logits_counts_as_nothing() -> None:
    logits = torch.ones(2, CLASSES, 4, 4, requires_grad=True)
    stored = torch.zeros(2, CLASSES, 2, 2)
    stored[1] = float("nan")
    found = distances(logits, stored)
    assert found.tolist() == [1.0, 0.0]
    found.sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("shape", [(2, 3, 5, 5), (2, 4, 8, 8), (2, 3, 2, 4), (2, 3)])
def test_logits_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"stored logits .* are not those of the network"):
        distances(torch.zeros(2, 3, 8, 8), torch.zeros(shape))


def test_a_domain_stored_without_logits_is_rehearsed_by_its_labels() -> None:
    with_logits, bare = make_past(4), Batch(make_past(2).images, make_past(2).targets)
    logits = torch.zeros(6, 10)
    losses = torch.arange(1.0, 7.0)
    rehearsal = DerRehearsal(DerConfig(alpha=1.0, beta=0.5, only_right=False))
    found = rehearsal.losses([with_logits, bare], logits, losses)
    assert torch.allclose(found[:4], rehearsal.losses([with_logits], logits[:4], losses[:4]))
    assert torch.allclose(found[4:], 0.5 * losses[4:])
    assert torch.allclose(rehearsal.losses([bare], logits[4:], losses[4:]), 0.5 * losses[4:])


def test_who_stores_samples_is_told_to_store_logits() -> None:
    assert DerConfig().stores_logits
    assert not DerConfig(alpha=0).stores_logits
    assert ComposedConfig(memory=DerConfig()).stores_logits
    assert not ComposedConfig(memory=ReplayConfig()).stores_logits


def test_a_configuration_that_rehearses_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="rehearses nothing"):
        DerConfig(alpha=0, beta=0)


def test_the_paper_without_labels_needs_all_logits() -> None:
    with pytest.raises(ValidationError, match="only_right false"):
        DerConfig(beta=0)


def test_what_was_wrong_when_it_was_stored_is_rehearsed_by_its_label() -> None:
    past, losses = make_past(4), torch.arange(1.0, 5.0)
    assert past.logits is not None
    past.targets[:] = past.logits.argmax(dim=1)
    past.targets[0] = (past.targets[0] + 1) % 10
    logits = torch.zeros(4, 10)
    apart = distances(logits, past.logits)
    found = DerRehearsal(DerConfig(alpha=0.7, beta=0.3)).losses([past], logits, losses)
    expected = torch.stack([0.3 * 2 * losses[0], 0.7 * 2 * apart[1], 0.3 * 2 * losses[2], 0.3 * 2 * losses[3]])
    assert torch.allclose(found, expected)


def test_classes_are_right_or_wrong() -> None:
    logits = torch.tensor([[2.0, 1.0], [2.0, 1.0], [float("nan")] * 2])
    assert rightness(logits, torch.tensor([0, 1, 0])).tolist() == [1.0, 0.0, 0.0]


def test_masks_are_right_as_far_as_their_defects_were_found() -> None:
    answers = torch.zeros(5, 4, 4, dtype=torch.int64)
    answers[0, :2, :2] = 1  # four pixels, of which two are there
    answers[2, 0, 0] = 1  # of another class
    answers[4, 0, 0] = 1  # where there is nothing
    targets = torch.zeros(5, 16, 16, dtype=torch.int64)
    targets[0, :4, :8] = 1
    targets[1, :4, :8] = 1
    targets[2, :4, :4] = 2
    stored = functional.one_hot(answers, 3).movedim(-1, 1).float()
    expected = [4 / 6, 0.0, 0.0, 1.0, 0.0]
    assert rightness(stored, targets).tolist() == pytest.approx(expected)
