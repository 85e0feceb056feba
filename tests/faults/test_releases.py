"""Releases that are broken, late, or taken back while they are swapped in: frames go on being judged once."""

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from safetensors.numpy import save

from memory.signing import Signer
from schemas.events import ModelVersion, ReleaseKind
from schemas.topics import DEAD_LETTERS
from tests.faults.frames import FrameTrial
from tests.integration.inference.conftest import running
from tests.integration.inference.outside import eventually
from tests.integration.inference.test_node import version_of
from tests.integration.inference.test_signed_releases import announcement
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
async def test_forged_releases_while_frames_stream(frames: FrameTrial) -> None:
    good, bad = made(2)[0], made(3)[0]
    await store(frames, *made(2)[1:], made(3)[2])  # all would load
    ours, stranger = frames.outside.signer, Signer(Ed25519PrivateKey.generate())
    forged, signed = stranger.sign(announcement(bad, 2)), ours.sign(announcement(good, 2))
    assert forged.signature is not None
    attacks = {
        "unsigned": [announcement(bad, 2)],
        "unknown_key": [forged],
        "bad_signature": [
            # Signed by a stranger under our key's name; ours, with another model, another place, another kind.
            forged.model_copy(update={"signature": forged.signature.model_copy(update={"key_id": ours.key_id})}),
            signed.model_copy(update={"version": bad}),
            signed.model_copy(update={"sequence": 60}),
            signed.model_copy(update={"kind": ReleaseKind.ROLLBACK}),
        ],
    }
    tried = [attack for attempts in attacks.values() for attack in attempts]
    await frames.begin(180)
    async with running(frames.settings) as node:
        for number, attack in enumerate(tried, start=1):
            await frames.judged(20 * number)
            await frames.outside.send_release(attack)
            frames.refused = number
            await frames.outside.until(DEAD_LETTERS, number)
            assert version_of(node) == 1
        await frames.all_judged()
        await last_welds_are_judged_by(frames, 1)
        # What was altered is good as it was.
        await frames.outside.send_release(signed)
        await eventually(lambda: version_of(node) == 2)
    assert {judgement.model.version for judgement in frames.outside.judgements()} == {1}
    reasons = [reason for reason, attempts in attacks.items() for _ in attempts]
    assert [letter.reason for letter in frames.outside.dead_letters()] == reasons
    method = f"{len(tried)} announcements: unsigned, by an unknown key, under our key's name, and ours, altered"
    await frames.conclude("forged releases", method)


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
