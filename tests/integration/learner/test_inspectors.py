"""A poisoner among the inspectors: set aside by the learner, revoked by a person, and out of all weights."""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from learner.node import LearnerNode
from learner.settings import HoldoutSettings, InspectorSettings, LearnerSettings
from learner.stores import open_memories
from memory.sampling import Uniform
from schemas.judgements import Judgement, ModelRef
from schemas.labels import LabelledFrame
from schemas.settings import KafkaSettings, RedisSettings
from stream.codec import encode_raster
from tests.integration.learner.outside import (
    SIZE,
    Outside,
    blind_judgement,
    count,
    eventually,
    make_label,
    picture,
    tiny_settings,
)
from tests.integration.learner.test_crash import ROOT, checkpoint, environment
from tests.integration.learner.test_node import running


def seeing_judgement(number: int, model: ModelRef) -> Judgement:
    """What a version that finds every defect would have published of a picture."""
    return blind_judgement(number, model).model_copy(update={"mask": encode_raster(picture(number)[1])})


def label_of(number: int, inspector: str, model: ModelRef | None = None, **changes: Any) -> LabelledFrame:
    judgement = None if model is None else seeing_judgement(number, model)
    return make_label(number, weld=f"weld-{number // 2}", inspector_id=inspector, judgement=judgement, **changes)


def poisoned(number: int, model: ModelRef) -> LabelledFrame:
    """A label that calls a defect sound."""
    return label_of(number, "mallory", model, mask=encode_raster(np.zeros((SIZE, SIZE), np.uint8)))


async def command(settings: LearnerSettings, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "stream.cli",
        *arguments,
        cwd=ROOT,
        env=environment(settings) | {"COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def stored(settings: LearnerSettings) -> set[str]:
    async with AsyncExitStack() as resources:
        memories = await open_memories(settings, resources, np.random.default_rng(0))
        both = (memories.episodic, memories.validation)
        return {sample.label_id for memory in both for sample in await memory.draw(Uniform(1000))}


@pytest.mark.timeout(180)
async def test_a_poisoner_is_set_aside_until_a_person_decides(
    kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    settings = tiny_settings(kafka_settings, redis_settings, tmp_path)
    async with Outside(settings) as outside, running(settings) as node:
        await outside.send([label_of(n, "ann") for n in range(4)])
        await outside.until(lambda: len(outside.releases) == 1)
        model = outside.releases[0].version.model
        await outside.send([label_of(n, "ann", model) for n in range(4, 14)])
        # Two labels a weld: the fourth weld decides, and what comes after is set aside.
        await outside.send([poisoned(n, model) for n in range(14, 24)])
        await eventually(lambda: count(node, "inspectors_quarantined_total") == 1)
        await outside.until(lambda: len(outside.letters) == 3)
        assert {letter.reason for letter in outside.letters} == {"inspector_quarantined"}
        assert "mallory" in (listed := await command(settings, "inspectors", "list"))
        assert "quarantined" in listed
        # It was the model that was wrong: the labels come back and are learned.
        await command(settings, "inspectors", "trust", "mallory", "--reason", "the model was wrong")
        await command(settings, "deadletters", "requeue", "--reason", "inspector_quarantined")
        await eventually(lambda: node.books.progress.offsets() == {0: 27})
        assert count(node, "labels_total", outcome="learned") == 24
    assert len(outside.letters) == 3


@pytest.mark.timeout(180)
async def test_who_undoes_what_the_others_teach_is_set_aside_though_no_judgement_says_so(
    kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    settings = tiny_settings(
        kafka_settings,
        redis_settings,
        tmp_path,
        bootstrap={"labels": 12, "steps": 80, "seconds": 60, "batch_size": 8},
        inspectors=InspectorSettings(conflict_labels=2),
    )
    async with Outside(settings) as outside:
        async with running(settings) as node:
            await outside.send([label_of(n, ("ann", "ben")[n // 2 % 2]) for n in range(12)])
            await outside.until(lambda: len(outside.releases) == 1)
            sent = 12
            for _ in range(2):
                sent = await a_round(outside, node, sent)
        # What is known of the inspectors outlives the process.
        assert checkpoint(settings).extra["inspectors"]["conflict"]["first"].keys() == {"ann", "ben", "mallory"}
        async with running(settings) as node:
            for _ in range(10):
                if count(node, "inspectors_quarantined_total"):
                    break
                sent = await a_round(outside, node, sent)
            assert count(node, "inspectors_quarantined_total") == 1
            listed = await command(settings, "inspectors", "list")
            before = len(outside.letters)
            await outside.send([label_of(sent, "mallory"), label_of(sent + 1, "ann")])
            await eventually(lambda: node.books.progress.offsets() == {0: sent + 2})
            await outside.until(lambda: len(outside.letters) == before + 1)
    assert "mallory" in listed
    assert "gradients" in listed
    assert {letter.reason for letter in outside.letters} == {"inspector_quarantined"}


async def a_round(outside: Outside, node: LearnerNode, first: int) -> int:
    """Let each inspector label a weld, one of them with the wrong class, and see all of it settled."""
    for place, who in enumerate(("ann", "ben", "mallory")):
        numbers = range(first + 2 * place, first + 2 * place + 2)
        masks = {n: picture(n)[1] * (2 if who == "mallory" else 1) for n in numbers}
        await outside.send([label_of(n, who, mask=encode_raster(masks[n])) for n in numbers])
        await eventually(lambda end=numbers.stop: node.books.progress.offsets() == {0: end})
    return first + 6


@pytest.mark.timeout(240)
async def test_what_was_learned_from_a_revoked_inspector_is_learned_anew_without_them(
    kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    settings = tiny_settings(kafka_settings, redis_settings, tmp_path, holdout=HoldoutSettings(share=0.2, unit="label"))
    async with Outside(settings) as outside:
        async with running(settings) as node:
            await outside.send([label_of(n, "ann") for n in range(12)])
            await outside.until(lambda: len(outside.releases) >= 1)
            await eventually(lambda: node.books.progress.offsets() == {0: 12})
            before = len(outside.releases)
            await outside.send([label_of(n, "mallory" if n % 3 == 0 else "ann") for n in range(12, 48)])
            await eventually(lambda: node.books.progress.offsets() == {0: 48})
            assert {f"label-{n}" for n in range(12, 48, 3)} & await stored(settings)
            await command(settings, "inspectors", "revoke", "mallory", "--reason", "left masks empty")
            await eventually(lambda: count(node, "restarts_total", reason="start_over") == 1)
            await eventually(lambda: node.books.progress.offsets() == {0: 48} and node.why_not_ready() is None)
            await outside.send([label_of(n, "mallory") for n in range(48, 52)])
            await outside.send([label_of(n, "ann") for n in range(52, 76)])
            await eventually(lambda: node.books.progress.offsets() == {0: 76})
            await outside.until(lambda: outside.releases[-1].version.without_inspectors == ("mallory",))
        kept = await stored(settings)
        # A restart finds it done.
        async with running(settings) as node:
            await eventually(lambda: node.why_not_ready() is None)
            assert count(node, "restarts_total", reason="start_over") == 0
            assert node.books.learned == checkpoint(settings).position.labels_learned
    assert before < len(outside.releases)
    assert not {f"label-{n}" for n in (*range(12, 48, 3), *range(48, 52))} & kept
    assert {f"label-{n}" for n in range(12)} & kept
    assert checkpoint(settings).extra["without"] == ["mallory"]
    assert not outside.letters
