import numpy as np
import pytest
import torch
from torch import Tensor, nn

from learner.lab.panel import Panel
from learner.lab.results import scores
from learner.lab.runner import run
from learner.lab.settings import Method, PanelConfig, ReleaseConfig
from learner.lab.streams import DigitsConfig
from learner.lab.streams.base import Domain, Samples, Stream
from learner.strategies import Batch
from learner.strategies.fine_tuning import FineTuningConfig
from tests.unit.learner.lab.test_runner import job, method

SIDE = 32


def masks(count: int = 40) -> Stream:
    """Every other image shows a bright square, which is class 1 of two."""
    images = torch.zeros(count, 1, SIDE, SIDE)
    images[::2, :, 8:16, 8:16] = 1.0
    everything = Samples(images, images[:, 0].to(torch.uint8), torch.arange(count))
    return Stream(
        "squares", [Domain("one", *[everything] * 3, (0, 1, 2))], ("background", "a", "b"), "domain", masks=True
    )


class Sees(nn.Module):
    """Judges squares rightly."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([0.5 - images, images - 0.5, torch.full_like(images, -9.0)], dim=1)


def labelled(config: PanelConfig, *, rounds: int = 1, serving: nn.Module | None = None) -> tuple[Panel, list[Batch]]:
    stream = masks()
    panel = Panel(config, stream, np.random.default_rng(0))
    (domain,) = stream.domains
    heard = [panel.label(domain.train.take(), domain, serving) for _ in range(rounds)]
    return panel, [batch for batch in heard if batch is not None]


def test_so_many_masks_are_wrong_and_the_truth_stays() -> None:
    panel, batches = labelled(PanelConfig(share=0.25), rounds=20)
    truth = masks().domains[0].train.take().targets
    wrong = sum(int((b.targets != truth).flatten(1).any(dim=1).sum()) for b in batches)
    assert panel.labels.given == 800
    assert panel.labels.wrong == wrong
    assert 150 < wrong < 250
    assert panel.labels.set_aside == 0


def test_a_wrong_mask_misses_the_flaw_or_shows_one_that_is_none() -> None:
    _, (batch,) = labelled(PanelConfig(errors="one_inspector", inspectors=2))
    truth = masks().domains[0].train.take().targets
    changed = (batch.targets != truth).flatten(1).any(dim=1)
    assert 10 < int(changed.sum()) < 30
    for given, true in zip(batch.targets[changed], truth[changed], strict=True):
        assert bool(given.any()) != bool(true.any())
        assert int(given.max()) <= 2


def test_who_stands_against_the_others_is_heard_no_more() -> None:
    config = PanelConfig(errors="one_inspector", inspectors=4, compared=True)
    panel, batches = labelled(config, rounds=4, serving=Sees())
    assert 20 < panel.labels.set_aside < panel.labels.given
    truth = masks().domains[0].train.take()
    last = batches[-1]
    assert len(last) < len(truth)
    assert torch.equal(last.targets, last.images[:, 0].long())
    careless, _ = labelled(config.model_copy(update={"compared": False}), rounds=4, serving=Sees())
    assert careless.labels.set_aside == 0


def test_honest_inspectors_are_all_heard() -> None:
    panel, _ = labelled(PanelConfig(share=0.0, inspectors=4, compared=True), rounds=8, serving=Sees())
    assert panel.labels.set_aside == 0


def test_wrong_labels_cost_what_is_learned_of_them() -> None:
    domains = DigitsConfig(domains=2, validation_share=0.1)
    clean = run(job(method("replay"), stream=domains))
    noisy = method("replay").model_copy(update={"panel": PanelConfig(share=0.6)})
    spoiled = run(job(noisy, stream=domains))
    assert clean.labels is None
    assert spoiled.labels is not None
    assert spoiled.labels.wrong == pytest.approx(0.6 * spoiled.labels.given, rel=0.1)
    assert scores(spoiled)["average"] < scores(clean)["average"] - 0.1


def test_comparing_needs_something_served_and_a_panel_a_stream() -> None:
    compared = Method(name="x", strategy=FineTuningConfig(), panel=PanelConfig(compared=True))
    with pytest.raises(ValueError, match="set releases"):
        run(job(compared))
    assert run(job(compared, releases=ReleaseConfig(every=10))).labels is not None
    for kind in ("joint", "avalanche"):
        with pytest.raises(ValueError, match="panel"):
            Method.model_validate({"name": "x", "strategy": {"kind": kind}, "panel": {}})
