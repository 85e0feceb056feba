import pytest
import torch
from torch import nn

from learner.averaging import RunningAverage, between


def test_the_average_follows_and_leaves_the_network_alone() -> None:
    live = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
    average = RunningAverage(live, 0.5)
    with torch.no_grad():
        for parameter in live.parameters():
            parameter.fill_(1.0)
        for parameter in average.model.parameters():
            parameter.fill_(0.0)
        live[1].running_mean.fill_(3.0)
    for expected in (0.9, 0.98, 0.995):  # keeps 1/10, then 2/11, then 3/12 of what it was
        average.follow()
        assert [p.flatten()[0].item() for p in average.model.parameters()] == pytest.approx([expected] * 4, abs=2e-3)
    assert float(average.model[1].running_mean) == 3.0
    assert all(bool((p == 1.0).all()) for p in live.parameters())
    assert not any(p.requires_grad for p in average.model.parameters())


def test_in_the_long_run_it_keeps_its_share() -> None:
    live = nn.Linear(1, 1, bias=False)
    average = RunningAverage(live, 0.9)
    with torch.no_grad():
        live.weight.fill_(1.0)
    for _ in range(200):
        average.follow()
    with torch.no_grad():
        live.weight.fill_(0.0)
    before = float(average.model.weight)
    average.follow()
    assert float(average.model.weight) == pytest.approx(0.9 * before)


def test_between_two_networks_lies_one_of_their_weights() -> None:
    first, second = nn.Linear(3, 2), nn.Linear(3, 2)
    found = between(first, second, 0.25)
    torch.testing.assert_close(found.weight, 0.75 * first.weight + 0.25 * second.weight)
    assert not torch.equal(first.weight, second.weight)
