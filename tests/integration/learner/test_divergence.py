"""A loss that is not finite: the batch is set aside, and learning goes on from the last checkpoint."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest
import torch

from learner.node import LearnerNode
from learner.service import RepeatedDivergenceError
from learner.settings import TrainingSettings
from learner.stores import open_memories
from learner.term import Term
from learner.trainer import Trainer
from memory.sampling import Uniform
from schemas.settings import KafkaSettings, RedisSettings
from stream.dead_letters import requeued
from tests.integration.learner.outside import Outside, count, eventually, make_label, tiny_settings
from tests.integration.learner.test_crash import checkpoint
from tests.integration.learner.test_node import make_node, running


@pytest.fixture
def trainers(monkeypatch: pytest.MonkeyPatch) -> list[Trainer]:
    """Every trainer that a term begins with, newest last: where a test breaks a weight, as failing memory would."""
    found: list[Trainer] = []
    run = Term.run

    async def noting(self: Term, *arguments: object) -> None:
        found.append(self._service._learning.trainer)
        await run(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Term, "run", noting)
    return found


def break_a_weight(trainer: Trainer) -> None:
    with torch.no_grad():
        next(iter(trainer.model.parameters())).view(-1)[0] = torch.nan


async def stored(settings: object, node: LearnerNode) -> set[str]:
    async with AsyncExitStack() as resources:
        memories = await open_memories(node._settings, resources, np.random.default_rng(0))
        return {sample.label_id for sample in await memories.episodic.draw(Uniform(1000))}


async def test_the_batch_is_quarantined_and_what_came_before_it_is_learned_again(
    kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path, trainers: list[Trainer]
) -> None:
    settings = tiny_settings(kafka_settings, redis_settings, tmp_path)
    async with Outside(settings) as outside, running(settings) as node:
        await outside.send([make_label(n) for n in range(4)])
        await outside.until(lambda: len(outside.releases) == 1)
        # One label after the checkpoint: its step is lost with the weights, and it must be learned again.
        await outside.send([make_label(4)])
        await eventually(lambda: node.books.learned == 5)
        break_a_weight(trainers[-1])
        await outside.send([make_label(5)])
        await outside.until(lambda: len(outside.letters) == 1)
        await eventually(lambda: len(trainers) == 2 and node.books.progress.offsets() == {0: 6})
        assert node.books.learned == 5
        assert outside.letters[0].reason == "diverged"
        assert await stored(settings, node) == {f"label-{n}" for n in range(5)}
        assert count(node, "restarts_total", reason="start_over") == 1
        # A person finds nothing wrong with it, and sends it back.
        await outside.send_record(requeued(outside.letters[0]))
        await outside.send([make_label(n) for n in range(6, 14)])
        await outside.until(lambda: len(outside.releases) == 2)
        assert all(bool(torch.isfinite(p).all()) for p in trainers[-1].model.parameters())
        await eventually(lambda: node.books.learned == 14)
        assert "label-5" in await stored(settings, node)
    assert len(outside.letters) == 1


async def test_a_rate_at_which_everything_diverges_ends_the_process_and_loses_nothing(
    kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    settings = tiny_settings(
        kafka_settings,
        redis_settings,
        tmp_path,
        training=TrainingSettings(labels_per_step=2, batch_size=4, idle_steps_per_label=0, device="cpu"),
    )
    settings = settings.model_copy(
        update={"trainer": settings.trainer.model_copy(update={"learning_rate": 1e30, "warmup_steps": 1})}
    )
    async with Outside(settings) as outside:
        await outside.send([make_label(n) for n in range(4)])
        node = make_node(settings)
        ending = asyncio.create_task(node.run())
        await outside.until(lambda: len(outside.releases) == 1)
        await outside.send([make_label(n) for n in range(4, 24)])
        with pytest.raises(ExceptionGroup) as caught:
            await ending
        await outside.until(lambda: len(outside.letters) >= 4)
    assert caught.group_contains(RepeatedDivergenceError, match="learning_rate")
    found = checkpoint(settings)
    aside = {(letter.partition, letter.offset) for letter in outside.letters}
    assert aside == {(0, int(place.partition(":")[2])) for place in found.extra["struck"]}
    assert min(found.position.offsets.values()) <= min(o for _, o in aside)
