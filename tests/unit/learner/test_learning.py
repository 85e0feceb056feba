"""What is drawn for a step, and which logits lie with what was learned."""

from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from prometheus_client import CollectorRegistry

from learner.crops import CropConfig, Labelled
from learner.extras import Extras, Remembering, StoredLogits
from learner.learning import STORED_LOGITS, Learning
from learner.model import ModelConfig, build_model
from learner.settings import TrainingSettings
from learner.strategies import StepReport
from learner.strategies.der import DerConfig
from learner.strategies.replay import ReplayConfig
from learner.telemetry import LearnerMetrics
from learner.trainer import Trainer, TrainerConfig
from memory.episodic import EpisodicMemory
from memory.samples import LOGITS, Sample
from memory.sampling import Uniform
from schemas.judgements import RecordPosition
from tests.unit.learner.records import make_memory

CLASSES, SIZE, STRIDE = 3, 40, 8
TINY = ModelConfig(encoder_depth=3, decoder_channels=(16, 8, 8), pretrained=False)
SETTINGS = TrainingSettings(labels_per_step=3, batch_size=4, replay_per_domain=2, steps_per_label=0.5, device="cpu")


def make_sample(number: int, domain: str) -> Sample:
    rng = np.random.default_rng(number)
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[5:20, 5:20] = 1 + number % 2
    return Sample(
        f"label-{number}",
        domain,
        "weld",
        (rng.integers(0, 60, (SIZE, SIZE)) + 100 * (mask > 0)).astype(np.uint8),
        mask,
        source=RecordPosition(topic="labels", partition=0, offset=number),
    )


STREAM = [make_sample(n, "abc"[n // 6]) for n in range(18)]


class SeeingTrainer(Trainer):
    """Remembers what it was given."""

    given: Mapping[str, list[str]]
    rehearsed: list[list[str]]

    def step(self, new: Sequence[Labelled], memory: Mapping[str, Sequence[Labelled]]) -> StepReport:
        self.given = {name: [sample.label_id for sample in samples] for name, samples in memory.items()}
        self.rehearsed = [*getattr(self, "rehearsed", []), *self.given.values()]
        assert not self.stores_logits or all(self.has_logits(s) for samples in memory.values() for s in samples)
        return super().step(new, memory)


@dataclass
class Desk:
    """A learner of one process, without the rest of the service."""

    learning: Learning
    trainer: SeeingTrainer
    remembering: Remembering
    logits: StoredLogits
    memory: EpisodicMemory

    async def learn(self, groups: Sequence[Sequence[Sample]]) -> None:
        for group in groups:
            for sample in group:
                await self.remembering.admit(sample)
            await self.learning.learn(group)

    async def stored(self) -> dict[str, Sample]:
        return {s.label_id: s for s in await self.memory.draw(Uniform(99), np.random.default_rng(0))}


@asynccontextmanager
async def desk(
    *,
    stores_logits: bool = True,
    capacity: int = 100,
    logits: StoredLogits | None = None,
    **settings: object,
) -> AsyncIterator[Desk]:
    trainer = SeeingTrainer(
        build_model(TINY, CLASSES),
        DerConfig() if stores_logits else ReplayConfig(),
        TrainerConfig(crops=CropConfig(size=32, logits_stride=STRIDE)),
        torch.device("cpu"),
        np.random.default_rng(0),
    )
    memory, logits = make_memory(capacity), logits or StoredLogits()
    remembering = Remembering(memory, Extras(None, CLASSES, STRIDE if stores_logits else None, logits), logits)
    with ThreadPoolExecutor(1) as executor:
        learning = Learning(
            trainer,
            draw=memory.draw,
            peek=memory.draw,
            settings=SETTINGS.model_copy(update=settings),
            executor=executor,
            metrics=LearnerMetrics(CollectorRegistry()),
            remember=remembering.store_logits,
            logits=logits,
        )
        yield Desk(learning, trainer, remembering, logits, memory)


def groups(first: int, last: int) -> list[list[Sample]]:
    return [STREAM[n : n + 3] for n in range(first, last, 3)]


async def test_logits_are_those_of_just_before_a_sample_is_learned_and_stay() -> None:
    async with desk() as run:
        await run.learn(groups(0, 6))
        before = run.trainer.logits(STREAM[6:9])
        await run.learn(groups(6, 18))
        stored = await run.stored()
        after = run.trainer.logits(STREAM[6:9])
    for sample, then, now in zip(STREAM[6:9], before, after, strict=True):
        found = stored[sample.label_id].extras[LOGITS]
        assert found.shape == (CLASSES, SIZE // STRIDE, SIZE // STRIDE)
        assert np.array_equal(found, then)
        assert not np.array_equal(found, now)


async def test_logits_are_means_over_the_pixels_that_they_stand_for() -> None:
    async with desk() as run:
        (found,) = run.trainer.logits(STREAM[:1])
        fine = SeeingTrainer(
            run.trainer.model,
            ReplayConfig(),
            TrainerConfig(crops=CropConfig(size=32, logits_stride=1)),
            torch.device("cpu"),
            np.random.default_rng(0),
        )
        (each,) = fine.logits(STREAM[:1])
    assert each.shape == (CLASSES, SIZE, SIZE)
    assert found == pytest.approx(each.reshape(CLASSES, 5, STRIDE, 5, STRIDE).mean(axis=(2, 4)), abs=1e-5)


async def test_room_for_logits_is_counted_before_they_are_known() -> None:
    async with desk() as run:
        await run.remembering.admit(STREAM[0])
        (reserved,) = (await run.stored()).values()
        assert not run.trainer.has_logits(reserved)
        (before,) = (await run.memory.stats()).domains.values()
        await run.learning.learn(STREAM[:1])
        (learned,) = (await run.stored()).values()
        assert run.trainer.has_logits(learned)
        (after,) = (await run.memory.stats()).domains.values()
    assert before == after
    assert before.bytes == len(reserved.to_bytes()) == len(learned.to_bytes())


async def test_a_sample_that_waits_to_be_learned_has_logits_when_it_is_rehearsed() -> None:
    async with desk() as run:
        await run.learn(groups(0, 3))
        for sample in STREAM[3:6]:
            await run.remembering.admit(sample)
        await run.learn(groups(6, 18))
        stored = await run.stored()
        rehearsed = [s for s in STREAM[3:6] if run.trainer.has_logits(stored[s.label_id])]
        assert rehearsed  # SeeingTrainer asserts that whatever is rehearsed has some


async def test_a_first_model_gives_what_it_learned_from_its_logits() -> None:
    async with desk() as run:
        for sample in STREAM[:6]:
            await run.remembering.admit(sample)
        await run.learning.pretrain(STREAM[:6], lambda trainer, samples: trainer.pretrain(samples, 2, 4))
        trained = run.trainer.logits(STREAM[:6])
        stored = await run.stored()
    for sample, logits in zip(STREAM[:6], trained, strict=True):
        assert np.array_equal(stored[sample.label_id].extras[LOGITS], logits)


@pytest.mark.parametrize("capacity", [100, 5])
async def test_after_a_crash_the_same_logits_lie_with_the_same_samples(capacity: int) -> None:
    """What a deterministic learner does: the memory is made anew of the labels before the checkpoint."""
    async with desk(capacity=capacity) as whole:
        await whole.learn(groups(0, 9))
        trainer, logits = whole.trainer.state(), whole.learning.logits()
        extra, draws = whole.learning.state(), dict(whole.memory.rng_state())
        await whole.learn(groups(9, 18))
        expected, weights = await whole.stored(), whole.trainer.state()

    kept = StoredLogits()
    kept.restore(logits.part(STORED_LOGITS))
    async with desk(capacity=capacity, logits=kept) as resumed:
        resumed.trainer.restore(trainer)
        resumed.memory.restore_rng(draws)
        resumed.learning._domains = extra["domains"]
        for sample in STREAM[:9]:
            await resumed.remembering.admit(sample)
        await resumed.learn(groups(9, 18))
        found = await resumed.stored()
        after = resumed.trainer.state()
        remaining = resumed.learning.logits().part(STORED_LOGITS).tensors
    assert {name: sample.to_bytes() for name, sample in found.items()} == {
        name: sample.to_bytes() for name, sample in expected.items()
    }
    assert all(torch.equal(after.tensors[name], tensor) for name, tensor in weights.tensors.items())
    assert set(remaining) <= set(found)
    assert {name for name, sample in found.items() if resumed.trainer.has_logits(sample)} == set(remaining)


async def test_a_learner_without_a_checkpoint_makes_logits_with_what_it_knows() -> None:
    async with desk() as run:
        for sample in STREAM[:6]:
            await run.remembering.admit(sample)
        run.learning._domains = ["a"]
        await run.learn(groups(6, 9))
        stored = await run.stored()
        assert any(run.trainer.has_logits(stored[s.label_id]) for s in STREAM[:6])


async def test_two_draws_are_independent_and_follow_each_other() -> None:
    async with desk(steps_per_label=6.0) as run:
        await run.learn(groups(0, 6))
        await run.learn([STREAM[6:9]])
        halves = [(labels[:2], labels[2:]) for labels in run.trainer.rehearsed]
    assert len(halves) == 18
    assert all(len(set(half)) == 2 for pair in halves for half in pair)
    # Two of six, twice: they share one with a chance of 0.6. Disjoint halves of one draw never do.
    shared = sum(bool(set(first) & set(second)) for first, second in halves)
    assert 0 < shared < len(halves)


async def test_one_draw_repeats_nothing() -> None:
    async with desk(stores_logits=False) as run:
        await run.learn(groups(0, 9))
        assert len(set(run.trainer.given["a"])) == 2
        assert LOGITS not in next(iter((await run.stored()).values())).extras


async def test_only_the_chosen_domains_take_part() -> None:
    names = {"a": "p-1_first_5mhz_steel", "b": "p-2_second_2mhz_duplex", "c": "p-1_first_5mhz_cast-steel"}
    stream = [make_sample(n, names["abc"[n // 6]]) for n in range(18)]
    for choice, expected in (("similar", "a"), ("different", "b")):
        async with desk(stores_logits=False, past_domains=choice, most_past_domains=1) as run:
            await run.learn([stream[n : n + 3] for n in range(0, 18, 3)])
            assert list(run.trainer.given) == [names[expected]]


async def test_logits_need_somebody_who_stores_them() -> None:
    async with desk() as run:
        with pytest.raises(ValueError, match="rehearses logits"), ThreadPoolExecutor(1) as executor:
            Learning(
                run.trainer,
                draw=run.memory.draw,
                peek=run.memory.draw,
                settings=SETTINGS,
                executor=executor,
                metrics=LearnerMetrics(CollectorRegistry()),
            )
