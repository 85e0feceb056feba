import torch

from learner.strategies.generative.gates import Gates


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_each_context_switches_off_its_share() -> None:
    gates = Gates(50, 0.7)
    gates.add_contexts(4, rng())
    assert ((gates.masks == 0) | (gates.masks == 1)).all()
    assert (gates.masks.sum(dim=1) == 15).all()
    assert len(gates.masks.unique(dim=0)) == 4


def test_the_seed_fixes_the_masks_and_later_contexts_leave_them_alone() -> None:
    first, second = Gates(20, 0.5), Gates(20, 0.5)
    first.add_contexts(3, rng(1))
    second.add_contexts(3, rng(1))
    assert torch.equal(first.masks, second.masks)
    before = first.masks.clone()
    first.add_contexts(2, rng(9))
    assert torch.equal(first.masks[:3], before)


def test_masks_are_state_and_nothing_that_learns() -> None:
    gates = Gates(20, 0.5)
    gates.add_contexts(3, rng())
    assert "masks" in gates.state_dict()
    assert list(gates.parameters()) == []
    other = Gates(20, 0.5)
    other.add_contexts(3, rng(5))
    other.load_state_dict(gates.state_dict())
    assert torch.equal(other.masks, gates.masks)


def test_units_are_masked_by_the_weighted_contexts() -> None:
    gates = Gates(3, 0.5)
    gates.masks = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    weights = torch.tensor([[1.0, 0.0], [0.25, 0.75]])
    assert torch.equal(gates(torch.full((2, 3), 4.0), weights), torch.tensor([[4.0, 0.0, 4.0], [1.0, 0.0, 4.0]]))
    maps = gates(torch.full((2, 3, 2, 2), 4.0), weights)
    assert torch.equal(maps[1, :, 1, 0], torch.tensor([1.0, 0.0, 4.0]))


def test_a_unit_that_is_off_learns_nothing() -> None:
    gates = Gates(3, 0.5)
    gates.masks = torch.tensor([[1.0, 0.0, 1.0]])
    hidden = torch.ones(2, 3, requires_grad=True)
    gates(hidden, torch.ones(2, 1)).sum().backward()
    assert torch.equal(hidden.grad, torch.tensor([[1.0, 0.0, 1.0]] * 2))
