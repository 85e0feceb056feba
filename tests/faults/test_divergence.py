"""A weight breaks: the batch is set aside, and learning goes on from the last checkpoint."""

from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest
import torch

from learner.node import LearnerNode
from learner.stores import open_memories
from learner.term import Term
from learner.trainer import Trainer
from memory.sampling import Uniform
from schemas.settings import KafkaSettings, RedisSettings
from stream.dead_letters import requeued
from tests.faults.report import FaultReport
from tests.integration.learner.outside import Outside, count, eventually, make_label, tiny_settings
from tests.integration.learner.test_node import running


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


async def stored(node: LearnerNode) -> set[str]:
    async with AsyncExitStack() as resources:
        memories = await open_memories(node._settings, resources, np.random.default_rng(0))
        return {sample.label_id for sample in await memories.episodic.draw(Uniform(1000))}


async def test_a_loss_that_is_not_finite(
    kafka_settings: KafkaSettings,
    redis_settings: RedisSettings,
    tmp_path: Path,
    trainers: list[Trainer],
    faults: FaultReport,
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
        wrong = {
            "labels missing from the weights": 5 - node.books.learned,
            "other dead letters": int(outside.letters[0].reason != "diverged"),
            "labels missing from the memory, or wrongly there": len(
                await stored(node) ^ {f"label-{n}" for n in range(5)}
            ),
            "restarts": 1 - int(count(node, "restarts_total", reason="start_over")),
        }
        # A person finds nothing wrong with it, and sends it back.
        await outside.send_record(requeued(outside.letters[0]))
        await outside.send([make_label(n) for n in range(6, 14)])
        await outside.until(lambda: outside.releases[-1].version.labels_learned == 14)
        await eventually(lambda: node.books.learned == 14)
        wrong |= {
            "weights that are not finite": sum(not torch.isfinite(p).all() for p in trainers[-1].model.parameters()),
            "labels sent back that are not remembered": int("label-5" not in await stored(node)),
            "further dead letters": len(outside.letters) - 1,
        }
    method = "a weight is set to NaN between two steps; the batch that meets it is then sent back; 14 labels sent"
    faults.labels("learner diverges", method, wrong, 14)
