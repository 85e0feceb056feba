"""Releases that are broken, late, or taken back while they are swapped in: frames go on being judged once."""

import asyncio

import pytest
from safetensors.numpy import save

from schemas.events import ModelVersion
from schemas.topics import DEAD_LETTERS
from tests.faults.frames import FrameTrial
from tests.integration.inference.conftest import running
from tests.integration.inference.outside import eventually
from tests.integration.inference.test_node import version_of
from tests.unit.inference.tiny import graph_bytes, make_version, tiny_weights

LAST = 30


def made(number: int) -> tuple[ModelVersion, bytes, bytes]:
    """Return a version with its graph and its weights; nothing is stored."""
    graph, weights = graph_bytes(), save(tiny_weights(number))
    return make_version(number, graph, weights), graph, weights


async def store(frames: FrameTrial, *blobs: bytes) -> None:
    for blob in blobs:
        await asyncio.to_thread(frames.outside.artifacts.put, blob)


async def last_welds_are_judged_by(frames: FrameTrial, version: int) -> None:
    """Begin welds after everything else, and see who judges them."""
    await frames.stream(LAST, "weld-last", every_s=0)
    await frames.all_judged()
    last = [j.model.version for j in frames.outside.judgements() if j.weld_id.startswith("weld-last")]
    assert set(last) == {version}


@pytest.mark.timeout(120)
async def test_an_artifact_of_which_only_a_part_arrived(frames: FrameTrial) -> None:
    version, graph, weights = made(2)
    await store(frames, graph, weights)
    next(frames.outside.stored(version.weights)).write_bytes(weights[: len(weights) // 2])
    await frames.begin()
    async with running(frames.settings) as node:
        await frames.judged(20)
        await frames.outside.announce(version, 2)
        frames.refused = 1
        await frames.all_judged()
        assert version_of(node) == 1
    assert [letter.reason for letter in frames.outside.dead_letters()] == ["digest_mismatch"]
    await frames.conclude("partial artifact", "half of a release's weights")


@pytest.mark.timeout(120)
async def test_a_release_that_fails_to_load_once_and_loads_when_announced_again(frames: FrameTrial) -> None:
    version, graph, weights = made(2)
    await store(frames, graph)
    await frames.begin()
    async with running(frames.settings) as node:
        await frames.judged(20)
        await frames.outside.announce(version, 2)
        frames.refused = 1
        await frames.outside.until(DEAD_LETTERS, 1)
        await store(frames, weights)
        await frames.outside.announce(version, 2)
        await eventually(lambda: version_of(node) == 2)
        await frames.all_judged()
        await last_welds_are_judged_by(frames, 2)
    method = "the weights are missing when it is announced first, and there when it is announced again"
    await frames.conclude("release loads the second time", method)


@pytest.mark.timeout(120)
async def test_a_roll_back_while_swaps_are_under_way(frames: FrameTrial) -> None:
    versions = [made(number)[0] for number in (1, 2, 3)]
    await store(frames, made(2)[2], made(3)[2])
    await frames.begin()
    async with running(frames.settings) as node:
        for turn in range(4):
            await frames.judged(30 * (turn + 1))
            # A release, another, and back to the first, faster than any of them can be swapped in.
            for place, version in enumerate((versions[1], versions[2], versions[0])):
                await frames.outside.announce(version, 2 + 3 * turn + place)
        await frames.all_judged()
        await eventually(lambda: version_of(node) == 1)
        await last_welds_are_judged_by(frames, 1)
    method = "four times two releases and a roll-back, announced at once"
    await frames.conclude("roll-back during a swap", method)
