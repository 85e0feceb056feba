"""Releases that are broken, late, or taken back while they are swapped in: frames go on being judged once."""

import asyncio

import pytest
from safetensors.numpy import save

from inference.settings import InferenceSettings
from schemas.topics import DEAD_LETTERS, JUDGEMENTS
from tests.faults.load import FRAMES_SENT, acquire
from tests.faults.report import FaultReport
from tests.integration.inference.conftest import running
from tests.integration.inference.outside import Outside, eventually
from tests.integration.inference.test_node import version_of
from tests.unit.inference.tiny import graph_bytes, make_version, tiny_weights

LAST = 30


async def publish_last(outside: Outside) -> None:
    """Begin welds after everything else."""
    for number in range(LAST):
        await outside.publish(number, f"weld-last-{number % 3}")


@pytest.mark.timeout(120)
async def test_an_artifact_of_which_only_a_part_arrived(
    settings: InferenceSettings, outside: Outside, faults: FaultReport
) -> None:
    await outside.register(1)
    graph, weights = graph_bytes(), save(tiny_weights(2))
    version = make_version(2, graph, weights)
    for blob in (graph, weights):
        await asyncio.to_thread(outside.artifacts.put, blob)
    next(outside.stored(version.weights)).write_bytes(weights[: len(weights) // 2])
    async with running(settings) as node:
        acquisition = asyncio.create_task(acquire(outside))
        await outside.until(JUDGEMENTS, 20)
        await outside.announce(version, 2)
        await outside.until(DEAD_LETTERS, 1)
        await acquisition
        await outside.until(JUDGEMENTS, FRAMES_SENT)
        assert version_of(node) == 1
    await outside.read_all()
    assert [letter.reason for letter in outside.dead_letters()] == ["digest_mismatch"]
    faults.frames("partial artifact", "half of a release's weights", outside.published, outside.entries())


@pytest.mark.timeout(120)
async def test_a_release_that_fails_to_load_once_and_loads_when_announced_again(
    settings: InferenceSettings, outside: Outside, faults: FaultReport
) -> None:
    await outside.register(1)
    graph, weights = graph_bytes(), save(tiny_weights(2))
    version = make_version(2, graph, weights)
    await asyncio.to_thread(outside.artifacts.put, graph)
    async with running(settings) as node:
        acquisition = asyncio.create_task(acquire(outside))
        await outside.until(JUDGEMENTS, 20)
        await outside.announce(version, 2)
        await outside.until(DEAD_LETTERS, 1)
        await asyncio.to_thread(outside.artifacts.put, weights)
        await outside.announce(version, 2)
        await eventually(lambda: version_of(node) == 2)
        await acquisition
        await publish_last(outside)
        await outside.until(JUDGEMENTS, FRAMES_SENT + LAST)
    await outside.read_all()
    last = [e.judgement.model.version for e in outside.entries() if e.judgement.weld_id.startswith("weld-last")]
    assert set(last) == {2}
    method = "the weights are missing when it is announced first, and there when it is announced again"
    faults.frames("release loads the second time", method, outside.published, outside.entries())


@pytest.mark.timeout(120)
async def test_a_roll_back_while_swaps_are_under_way(
    settings: InferenceSettings, outside: Outside, faults: FaultReport
) -> None:
    await outside.register(1)
    graph = graph_bytes()
    versions = [make_version(n, graph, save(tiny_weights(n))) for n in (1, 2, 3)]
    for n in (2, 3):
        await asyncio.to_thread(outside.artifacts.put, save(tiny_weights(n)))
    async with running(settings) as node:
        acquisition = asyncio.create_task(acquire(outside))
        for turn in range(4):
            await outside.until(JUDGEMENTS, 30 * (turn + 1))
            # A release, another, and back to the first, faster than any of them can be swapped in.
            for place, version in enumerate((versions[1], versions[2], versions[0])):
                await outside.announce(version, 2 + 3 * turn + place)
        await acquisition
        await eventually(lambda: version_of(node) == 1)
        await publish_last(outside)
        await outside.until(JUDGEMENTS, FRAMES_SENT + LAST)
    await outside.read_all()
    last = [e.judgement.model.version for e in outside.entries() if e.judgement.weld_id.startswith("weld-last")]
    assert set(last) == {1}
    method = "four times two releases and a roll-back, announced at once"
    faults.frames("roll-back during a swap", method, outside.published, outside.entries())
