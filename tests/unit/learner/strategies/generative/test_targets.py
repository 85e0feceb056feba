import math

import pytest
import torch

from learner.losses import ClassLoss
from learner.strategies.generative.contexts import Contexts
from learner.strategies.generative.targets import Targets, soft_loss


def contexts() -> Contexts:
    both = Contexts(4)
    for name, classes in (("a", [0, 1]), ("b", [2, 3])):
        both.enter(name)
        both.see(name, torch.tensor(classes))
    return both


def targets(scenario: str = "class", *, soft: bool = True, own_head: bool = True) -> Targets:
    return Targets(scenario, soft, 2.0, own_head, ClassLoss())


def test_soft_targets_at_a_temperature_of_two() -> None:
    wanted, logits = torch.tensor([[2.0 * math.log(3.0), 0.0]]), torch.zeros(1, 2)
    # Probabilities 3/4 and 1/4 against 1/2 and 1/2, times 4.
    assert soft_loss(logits, wanted, 2.0).item() == pytest.approx(4 * math.log(2.0))
    maps = soft_loss(logits[:, :, None, None].expand(1, 2, 3, 5), wanted[:, :, None, None].expand(1, 2, 3, 5), 2.0)
    assert maps.item() == pytest.approx(4 * math.log(2.0))


def test_the_soft_loss_has_its_minimum_where_both_agree() -> None:
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    soft_loss(logits, logits.detach() + 1.0, 2.0).sum().backward()
    assert logits.grad.abs().max() < 1e-6


def test_classes_that_the_past_was_not_shown_get_no_probability() -> None:
    past = Contexts(4)
    past.enter("a")
    past.see("a", torch.tensor([0, 1]))
    said = targets().teacher(torch.tensor([[1.0, 2.0, 9.0, 9.0]]), past, torch.tensor([0]))
    assert targets().classes(said)[0, 2:].tolist() == [0.0, 0.0]
    assert targets(soft=False).classes(said).tolist() == [[0.0, 1.0, 0.0, 0.0]]
    # The network's own outputs all compete: what it says of a new class is driven down.
    logits = torch.zeros(1, 4, requires_grad=True)
    targets().replayed(logits, said, past, torch.tensor([0])).sum().backward()
    assert (logits.grad[0, 2:] > 0).all()


def test_within_a_task_only_its_own_classes_compete() -> None:
    logits = torch.tensor([[0.0, 0.0, 50.0, 0.0]], requires_grad=True)
    loss = targets("task").new(logits, torch.tensor([0]), contexts(), 0)
    assert loss.item() == pytest.approx(math.log(2.0))
    loss.sum().backward()
    assert logits.grad[0, 2:].tolist() == [0.0, 0.0]
    # In the other scenario they do.
    assert targets("class").new(logits, torch.tensor([0]), contexts(), 0).item() == pytest.approx(50.0, abs=1e-3)


@pytest.mark.parametrize("soft", [True, False])
def test_replay_of_a_task_stays_in_its_head_or_goes_through_all(soft: bool) -> None:
    said = torch.tensor([[3.0, 0.0, 0.0, 3.0]])
    domains = torch.tensor([1])
    logits = torch.zeros(1, 4, requires_grad=True)
    targets("task", soft=soft).replayed(logits, said, contexts(), domains).sum().backward()
    assert logits.grad[0, :2].tolist() == [0.0, 0.0]
    assert (logits.grad[0, 2:] != 0).all()
    logits = torch.zeros(1, 4, requires_grad=True)
    targets("task", soft=soft, own_head=False).replayed(logits, said, contexts(), domains).sum().backward()
    assert (logits.grad != 0).all()


def test_hard_targets_are_the_most_probable_class() -> None:
    logits = torch.zeros(1, 4)
    hard = targets(soft=False).replayed(logits, torch.tensor([[0.0, 0.1, 0.0, 0.0]]), contexts(), torch.tensor([0]))
    assert hard.item() == pytest.approx(math.log(4.0))
