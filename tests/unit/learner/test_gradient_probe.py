"""A real network learns from three inspectors, of whom one may lie: whose labels oppose whose."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from learner.crops import CropConfig
from learner.gradient_probe import GradientProbe
from learner.inspectors import InspectorGuard, Standings
from learner.labels import Label
from learner.model import ModelConfig
from learner.settings import InspectorSettings, LearnerSettings
from learner.state import State
from learner.telemetry import LearnerMetrics
from learner.trainer import TrainerConfig
from learner.trainers import make_trainer
from memory.samples import Sample
from memory.sampling import Balanced
from schemas.inspectors import InspectorStanding, Standing
from tests.unit.learner.records import GIVEN, READ, Record, make_memory
from tests.unit.learner.samples import make_samples

SETTINGS = LearnerSettings(
    model=ModelConfig(encoder_depth=3, decoder_channels=(16, 8, 8), pretrained=False),
    trainer=TrainerConfig(crops=CropConfig(size=32)),
)
SIDE = 64
Mask = NDArray[np.uint8]
Lie = Callable[[Mask], Mask]


def honest(mask: Mask) -> Mask:
    return mask


def calls_defects_sound(mask: Mask) -> Mask:
    return np.zeros_like(mask)


def names_another_class(mask: Mask) -> Mask:
    return np.where(mask > 0, 2, 0).astype(np.uint8)


def first_samples(seed: int) -> list[Sample]:
    made = make_samples(24, size=SIDE, seed=1000 + seed)
    return [Sample(f"first-{n}", "a", f"first-{n}", s.pixels, s.mask) for n, s in enumerate(made)]


@cache
def pretrained(seed: int) -> State:
    """A network that finds most defects."""
    torch.manual_seed(seed)
    trainer = make_trainer(SETTINGS.model_copy(update={"seed": seed}))
    trainer.pretrain(first_samples(seed), 80)
    return trainer.state()


class Shop:
    """Three inspectors label in turns, and the network learns and rehearses as the learner does."""

    def __init__(self, seed: int, lie: Lie, inspectors: InspectorSettings | None = None) -> None:
        torch.manual_seed(seed)
        self.lie, self.seed = lie, seed
        self.trainer = make_trainer(SETTINGS.model_copy(update={"seed": seed}))
        self.memory = make_memory(500, 10**9, seed)
        self.decisions: list[InspectorStanding] = []
        self.standings = Standings()
        self.executor = ThreadPoolExecutor(1)
        self.registry = CollectorRegistry()
        self.probe = self.make_probe(inspectors or InspectorSettings(conflict_labels=2))
        self.guard = InspectorGuard(
            inspectors or InspectorSettings(conflict_labels=2),
            self.probe,
            standings=self.standings,
            publish=self._publish,
            metrics=LearnerMetrics(self.registry),
            clock=lambda: GIVEN + timedelta(hours=1),
        )

    def make_probe(self, inspectors: InspectorSettings) -> GradientProbe:
        return GradientProbe(
            inspectors, self.trainer, draw=self.memory.draw, executor=self.executor, size=32, multiple=32, seed=0
        )

    async def _publish(self, decision: InspectorStanding) -> None:
        self.decisions.append(decision)

    async def begin(self) -> None:
        self.trainer.restore(pretrained(self.seed))
        for sample in first_samples(self.seed):
            await self.memory.admit(sample)

    async def label(self, who: str, weld: int) -> list[Label]:
        """Give two labels of a weld, and let the memory know them, as the intake does."""
        labels = []
        for number, made in enumerate(make_samples(2, size=SIDE, seed=100 * self.seed + weld)):
            mask = self.lie(made.mask) if who == "mallory" else made.mask
            name = f"{who}-{weld}"
            sample = Sample(f"{name}-{number}", "a", name, made.pixels, mask, inspector_id=who)
            labels.append(Label(sample, Record(), who, GIVEN, READ))
            await self.memory.admit(sample)
        return labels

    async def learn(self, group: list[Label]) -> None:
        for step in range(3):
            drawn = await self.memory.draw(Balanced({"a": 8 if step else 6}))
            self.trainer.step([*([] if step else [label.sample for label in group]), *drawn], {})

    async def work(self, welds: int) -> None:
        await self.begin()
        for weld in range(welds):
            for place, who in enumerate(("ann", "ben", "mallory")):
                if self.standings.of(who) is Standing.QUARANTINED:
                    continue
                group = await self.label(who, 3 * weld + place)
                await self.guard.look_closer(group, ["a"])
                await self.learn(group)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("lie", [calls_defects_sound, names_another_class])
@pytest.mark.timeout(120)
async def test_who_lies_is_set_aside_and_nobody_else(lie: Lie, seed: int) -> None:
    shop = Shop(seed, lie)
    await shop.work(7)
    assert [(d.inspector_id, d.standing) for d in shop.decisions] == [("mallory", Standing.QUARANTINED)]
    assert "gradients of the labels oppose those of the others'" in shop.decisions[0].reason
    assert shop.registry.get_sample_value("weldstream_learner_inspectors_quarantined_total") == 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.timeout(120)
async def test_nobody_is_set_aside_where_all_are_honest(seed: int) -> None:
    shop = Shop(seed, honest)
    await shop.work(9)
    assert shop.decisions == []
    assert shop.guard.state()["conflict"]["a"].keys() == {"ann", "ben", "mallory"}


async def test_measuring_leaves_weights_gradients_and_draws_as_they_are() -> None:
    shop = Shop(0, honest)
    await shop.begin()
    ann, ben = await shop.label("ann", 0), await shop.label("ben", 1)
    before, draws = shop.trainer.state(), shop.memory.rng_state()
    found = await shop.probe.measure([*ann, *ben], ["a"])
    assert [label.inspector_id for label, _ in found] == ["ann", "ben"]
    after = shop.trainer.state()
    assert after.values == before.values
    assert all(torch.equal(after.tensors[name], tensor) for name, tensor in before.tensors.items())
    assert shop.memory.rng_state() == draws
    # The same labels give the same numbers, whoever measures: nothing random is kept.
    again = await shop.make_probe(InspectorSettings(conflict_labels=2)).measure([*ann, *ben], ["a"])
    assert [cosine for _, cosine in again] == [cosine for _, cosine in found]


async def test_every_so_manieth_label_is_measured_also_across_a_restart() -> None:
    inspectors = InspectorSettings(conflict_labels=3)
    shop = Shop(0, honest, inspectors)
    await shop.begin()
    groups = [await shop.label(("ann", "ben")[weld % 2], weld) for weld in range(10)]
    await shop.probe.measure(groups[0], ["a"])  # nobody to be compared with yet
    numbers = [len(await shop.probe.measure(group, ["a"])) for group in groups[1:6]]
    restarted = shop.make_probe(inspectors)
    restarted.restore(shop.probe.state())
    numbers += [len(await restarted.measure(group, ["a"])) for group in groups[6:]]
    assert numbers == [1, 1, 1, 0, 0, 1, 1, 1, 1]


async def test_one_inspector_alone_is_not_measured() -> None:
    shop = Shop(0, honest)
    await shop.begin()
    for weld in range(3):
        assert await shop.probe.measure(await shop.label("ann", weld), ["a"]) == []


async def test_what_nobody_else_has_labelled_is_compared_with_nothing() -> None:
    shop = Shop(0, honest)
    await shop.begin()
    ann, ben = await shop.label("ann", 0), await shop.label("ben", 1)
    elsewhere = [replace(label, sample=replace(label.sample, domain="b")) for label in ann]
    assert await shop.probe.measure([*elsewhere, *ben[:1]], ["a"]) != []
    assert all(
        label.inspector_id == "ben"
        for label, _ in await shop.make_probe(InspectorSettings()).measure([*elsewhere, *ben], ["a"])
    )


async def test_a_sound_frame_in_which_nothing_is_found_says_nothing() -> None:
    shop = Shop(0, honest)
    await shop.begin()
    ann, ben = await shop.label("ann", 0), await shop.label("ben", 1)
    *_, (name, bias) = shop.trainer.model.named_parameters()
    assert name.endswith("bias")
    with torch.no_grad():
        bias[0] += 1000  # the background, whatever the network sees
    sound = replace(ben[0], sample=replace(ben[0].sample, mask=np.zeros_like(ben[0].sample.mask)))
    assert [label.inspector_id for label, _ in await shop.probe.measure([ann[0], sound], ["a"])] == ["ann"]
