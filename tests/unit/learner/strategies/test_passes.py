import numpy as np
import pytest
import torch
from torch import nn

from learner.losses import ClassLoss, LossConfig, SegmentationLoss
from learner.model import ModelConfig, build_model, used_parameters
from learner.strategies import Batch
from learner.strategies.fine_tuning import NoRehearsal
from learner.strategies.gradients import GradientRows
from learner.strategies.passes import Passes


def classes(n: int, seed: int, *shape: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return Batch(torch.randn(n, *shape, generator=generator), torch.randint(3, (n,), generator=generator))


def masks(n: int, seed: int, size: int = 64) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(n, 1, size, size, generator=generator)
    return Batch(images, torch.randint(3, (n, size, size), generator=generator))


MLP = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4, bias=False), nn.Tanh(), nn.Linear(4, 3))
CNN = nn.Sequential(
    nn.Conv2d(1, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True),
    nn.Conv2d(4, 8, 3, padding=2, dilation=2, groups=2, bias=False),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
)  # fmt: skip
TOKENS = nn.Sequential(nn.Unflatten(1, (3, 2)), nn.Linear(2, 4), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3))
TWICE = nn.Linear(6, 6)
FOLDED = nn.Sequential(
    nn.Unflatten(1, (3, 2)), nn.Flatten(0, 1), nn.Linear(2, 4), nn.Unflatten(0, (-1, 3)), nn.Flatten(), nn.Linear(12, 3)
)
SHARED = nn.Sequential(TWICE, nn.ReLU(), TWICE, nn.ReLU(), nn.Linear(6, 3))
OTHER = nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.PReLU(), nn.Linear(5, 3))
UNET = build_model(ModelConfig(pretrained=False), 3)


def rows_of(model: nn.Module, groups: list[Batch], *, groupable: bool, one: bool) -> tuple[np.ndarray, Passes]:
    model.eval()
    dense = groups[0].targets.ndim > 1
    parameters = tuple(used_parameters(model, 64).values()) if dense else tuple(model.parameters())
    loss = SegmentationLoss(LossConfig()) if dense else ClassLoss()
    passes = Passes(model, loss, NoRehearsal(), (), GradientRows(parameters), groupable=groupable)
    new, *past = groups
    found = passes.apart(new, {str(i): batch for i, batch in enumerate(past)}, one_constraint=one, share=0.5)
    assert len(found.losses) == len(groups)
    return np.concatenate([found.rows.numpy().ravel(), found.losses]), passes


@pytest.mark.parametrize("one", [False, True])
@pytest.mark.parametrize(
    ("model", "groups", "groupable"),
    [
        (MLP, [classes(n, n, 6) for n in (5, 1, 3)], True),
        (TOKENS, [classes(n, n, 6) for n in (5, 1, 3)], True),
        (CNN, [classes(n, n, 1, 9, 9) for n in (4, 2, 1, 2)], False),
        (UNET, [masks(n, n) for n in (2, 1, 2)], False),
        (SHARED, [classes(n, n, 6) for n in (5, 1, 3)], True),
        (FOLDED, [classes(n, n, 6) for n in (5, 1, 3)], False),
        (OTHER, [classes(n, n, 6) for n in (5, 1, 3)], False),
    ],
    ids=["mlp", "tokens", "cnn", "u-net", "a layer used twice", "samples folded", "other layers"],
)
def test_one_pass_over_all_groups_gives_each_groups_gradient(
    model: nn.Module, groups: list[Batch], groupable: bool, one: bool
) -> None:
    ours, passes = rows_of(model, groups, groupable=True, one=one)
    theirs, _ = rows_of(model, groups, groupable=False, one=one)
    assert passes._groupable == groupable
    assert np.abs(theirs).max() > 1e-3
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5 * np.abs(theirs).max() + 1e-6)


def test_a_parameter_used_out_of_sight_is_noticed() -> None:
    class Stacked(nn.Module):
        """Joins its parameters before it uses them: no operation on them is seen for what it is."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Parameter(torch.randn(3, 3)), nn.Parameter(torch.randn(3, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ torch.cat([self.first, self.second], dim=1).T

    groups = [classes(n, n, 6) for n in (5, 2)]
    torch.manual_seed(0)
    model = Stacked()
    ours, passes = rows_of(model, groups, groupable=True, one=False)
    theirs, _ = rows_of(model, groups, groupable=False, one=False)
    assert not passes._groupable
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_a_frozen_layer_has_no_gradient_in_any_row() -> None:
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    model[2].requires_grad_(requires_grad=False)
    groups = [classes(n, n, 6) for n in (5, 2)]
    ours, _ = rows_of(model, groups, groupable=True, one=False)
    theirs, _ = rows_of(model, groups, groupable=False, one=False)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    rows = ours[:-2].reshape(2, -1)
    assert (rows[:, 28:] == 0).all()
    assert np.abs(rows[:, :28]).max() > 0
