"""The learner killed wherever it can be: each label is learned once, and no release is lost or made twice."""

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from pathlib import Path

import pytest

from learner.settings import LearnerSettings
from memory.registry import ModelRegistry
from schemas.settings import KafkaSettings, RedisSettings
from tests.faults.conftest import early_and_later
from tests.faults.report import FaultReport
from tests.integration.learner.outside import Outside, count, eventually, make_label, tiny_settings
from tests.integration.learner.test_crash import ROOT, checkpoint, environment
from tests.integration.learner.test_node import running

FIRST, LABELS = 4, 36
CRASH_POINTS = ("admitted", "learned", "recorded", "announced", "checkpointed")


@pytest.mark.parametrize("where", early_and_later(CRASH_POINTS, 3))
@pytest.mark.timeout(240)
async def test_killed_at(
    kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path, faults: FaultReport, where: str
) -> None:
    settings = tiny_settings(kafka_settings, redis_settings, tmp_path)
    async with Outside(settings) as outside:
        variables = environment(settings) | {"WELDSTREAM_CRASH_AT": where}
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "learner.app", cwd=ROOT, env=variables)
        try:
            await send_until_killed(outside, process)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        before = learned_before(outside, settings)
        async with running(settings) as node:
            await eventually(lambda: node.books.progress.offsets() == {0: LABELS})
            again = int(count(node, "labels_total", outcome="learned"))
            duplicates = int(count(node, "labels_total", outcome="duplicate"))
        await outside.until(lambda: bool(outside.releases))
        unannounced = len(missing_releases(outside))
    settled = sum(checkpoint(settings).position.offsets.values())
    wrong = {
        "labels not settled": LABELS - settled,
        "labels learned twice or not at all": before + again - LABELS,
        "labels taken for repetitions": duplicates,
        "releases not announced": unannounced,
    }
    point, _, time = where.partition(":")
    method = f"SIGKILL when something is {point} for the {time}. time, and a restart; {LABELS} labels sent"
    faults.labels(f"learner killed: {point}, {time}", method, wrong)


async def send_until_killed(outside: Outside, process: Process) -> None:
    """Send the labels of the first model, and the others once it is there, or nobody is left to make it."""
    await outside.send([make_label(number) for number in range(FIRST)])
    killed = asyncio.create_task(process.wait())
    released = asyncio.create_task(outside.until(lambda: bool(outside.releases)))
    await asyncio.wait({killed, released}, return_when=asyncio.FIRST_COMPLETED)
    released.cancel()
    await outside.send([make_label(number) for number in range(FIRST, LABELS)])
    async with asyncio.timeout(60):
        assert await killed == -signal.SIGKILL


def learned_before(outside: Outside, settings: LearnerSettings) -> int:
    """Return the labels in the weights that a restart goes on from."""
    found = checkpoint(settings)
    # One from before the first model gives way to the version that came of it.
    if found is not None and found.extra["trained"]:
        return int(found.position.labels_learned)
    serving = registry_of(outside).serving()
    return 0 if serving is None else serving.version.labels_learned


def registry_of(outside: Outside) -> ModelRegistry:
    return ModelRegistry(outside.settings.registry.uri, outside.settings.registry.model_name)


def missing_releases(outside: Outside) -> set[int]:
    """Return the versions that the registry let serve and nobody announced."""
    serving = registry_of(outside).serving()
    announced = {released.version.model.version for released in outside.releases}
    return set() if serving is None else {serving.version.model.version} - announced
