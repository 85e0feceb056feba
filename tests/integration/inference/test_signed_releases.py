"""Whoever can write to the releases topic, or to the registry, still does not decide what judges welds."""

import asyncio
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from safetensors.numpy import save

from inference.audit import verify_weld
from inference.recall_plan import Plan
from inference.settings import InferenceSettings
from memory.key_files import KeyFileError, make_key_pair
from memory.signing import BadSignatureError, Signer
from schemas.events import ModelReleased, ModelVersion, ReleaseKind
from schemas.topics import DEAD_LETTERS, JUDGEMENTS
from tests.integration.inference.conftest import running
from tests.integration.inference.outside import Outside, eventually
from tests.integration.inference.test_node import version_of
from tests.integration.inference.test_recall import recall
from tests.unit.inference.tiny import NOW, graph_bytes, make_version, tiny_weights


async def stored(outside: Outside, number: int, defect: int) -> ModelVersion:
    """A version whose files are there and would load."""
    graph, weights = graph_bytes(), save(tiny_weights(defect))
    for blob in (graph, weights):
        await asyncio.to_thread(outside.artifacts.put, blob)
    return make_version(number, graph, weights)


def announcement(version: ModelVersion, sequence: int, kind: ReleaseKind = ReleaseKind.RELEASE) -> ModelReleased:
    return ModelReleased(version=version, kind=kind, sequence=sequence, announced_at=NOW)


def entry(settings: InferenceSettings, number: int) -> Path:
    return Path(settings.registry.uri) / "models" / "weld" / "versions" / f"{number:08d}.json"


async def test_only_a_rightly_signed_announcement_is_taken(settings: InferenceSettings, outside: Outside) -> None:
    good, bad = await stored(outside, 5, 1), await stored(outside, 6, 2)
    stranger = Signer(Ed25519PrivateKey.generate())
    ours = outside.signer.sign(announcement(good, 6))
    assert ours.signature is not None
    theirs = stranger.sign(announcement(bad, 6)).signature
    assert theirs is not None
    attempts = {
        "unsigned": announcement(bad, 6),
        "unknown_key": stranger.sign(announcement(bad, 6)),
        # Forged: the stranger says that the signature is ours.
        "bad_signature": announcement(bad, 6).model_copy(
            update={"signature": theirs.model_copy(update={"key_id": outside.signer.key_id})}
        ),
        # Replayed: once it was good.
        "stale_release": outside.signer.sign(announcement(bad, 4)),
    }
    # Altered: another model, another place in the order, another kind, under a signature of ours.
    altered = [ours.model_copy(update=changes) for changes in ({"version": bad}, {"sequence": 60}, {"reason": "x"})]
    async with running(settings) as node:
        await outside.announce(good, 5)
        frame = 0
        for count, attack in enumerate((*attempts.values(), *altered), start=1):
            await outside.send_release(attack)
            await outside.until(DEAD_LETTERS, count)
            await outside.publish(frame := count)
            await outside.until(JUDGEMENTS, count)
            assert version_of(node) == 5
        text = (await outside.status(node, "/metrics"))[1]
        for reason, times in {**dict.fromkeys(attempts, 1.0), "bad_signature": 1.0 + len(altered)}.items():
            assert f'releases_refused_total{{reason="{reason}"}} {times}' in text
        await outside.announce(bad, 6)
        await eventually(lambda: version_of(node) == 6)
        await outside.publish(frame + 1, "weld-2")
        await outside.until(JUDGEMENTS, frame + 1)
    await outside.assert_judged_once()
    versions = [judgement.model.version for judgement in outside.judgements()]
    assert versions == [5] * frame + [6]
    assert [letter.reason for letter in outside.dead_letters()] == [*attempts, *["bad_signature"] * len(altered)]
    assert all(letter.message for letter in outside.dead_letters())


async def test_an_old_announcement_does_not_return_with_a_restart(
    settings: InferenceSettings, outside: Outside
) -> None:
    """The compacted topic keeps the last that was written, which here is the attacker's; the registry knows better."""
    from memory.registry import open_registry

    await outside.register(1, defect=1)
    await outside.register(2, defect=2)
    registry = open_registry(settings.registry, publishes=True)
    old = await asyncio.to_thread(registry.promote, 1, ReleaseKind.RELEASE)
    new = await asyncio.to_thread(registry.promote, 2, ReleaseKind.RELEASE)
    await outside.send_release(new)
    await outside.send_release(old)
    async with running(settings) as node:
        await outside.publish(0)
        await outside.until(JUDGEMENTS, 1)
        assert version_of(node) == 2
    assert outside.judgements()[0].model.version == 2


async def test_the_registry_is_trusted_no_more_than_the_topic(
    settings: InferenceSettings, outside: Outside, tmp_path: Path
) -> None:
    await outside.register(1, defect=1)
    async with running(settings):
        await outside.publish(0)
        await outside.until(JUDGEMENTS, 1)
    # Somebody who can write to the registry exchanges the model of a version, files and all.
    other = await stored(outside, 1, 3)
    fields = json.loads(entry(settings, 1).read_text())
    fields["weights"]["sha256"] = fields["model"]["digest"] = other.weights.sha256
    entry(settings, 1).write_text(json.dumps(fields))
    await outside.register(2, defect=2)
    async with running(settings) as node:
        # The weld in progress cannot go on with what is called v1 now: it begins a new pass with what serves.
        await outside.publish(1)
        await outside.until(JUDGEMENTS, 2)
        text = (await outside.status(node, "/metrics"))[1]
    assert 'welds_reopened_total{reason="bad_signature"} 1.0' in text
    assert [judgement.model.version for judgement in outside.judgements()] == [1, 2]
    report = await verify_weld(settings.kafka, settings.registry, "weld-1", tmp_path / "verify", rejudge=True)
    assert not report.holds
    assert any("weld v1 is not what key" in line for line in report.lines())
    with pytest.raises(BadSignatureError, match="weld v1 is not what key"):
        await recall(settings, Plan("r", "weld", (2,), 1), tmp_path / "recall")
    pinned = settings.model_copy(
        update={"serving": settings.serving.model_copy(update={"pinned_version": 1, "group_id": "pinned"})}
    )
    async with running(pinned) as node:
        await asyncio.sleep(1.5)
        assert version_of(node) == 0


async def test_keys_rotate_without_a_pause(settings: InferenceSettings, outside: Outside, tmp_path: Path) -> None:
    from memory.key_files import read_signer

    new = make_key_pair(tmp_path / "new")
    both = settings.model_copy(
        update={
            "registry": settings.registry.model_copy(
                update={"signing_key": None, "trusted_keys": (*settings.registry.trusted_keys, new.public)}
            )
        }
    )
    await outside.release(1)
    async with running(both) as node:
        await outside.publish(0)
        await outside.until(JUDGEMENTS, 1)
        outside.signer = read_signer(new.private)
        await outside.release(2)
        await eventually(lambda: version_of(node) == 2)
    assert outside.dead_letters() == []


async def test_nothing_starts_without_a_trusted_key(settings: InferenceSettings) -> None:
    keyless = settings.registry.model_copy(update={"signing_key": None, "trusted_keys": ()})
    with pytest.raises(KeyFileError, match="no key is trusted"):
        async with running(settings.model_copy(update={"registry": keyless})):
            pass


async def test_switched_off_everything_is_taken(settings: InferenceSettings, outside: Outside) -> None:
    off = settings.registry.model_copy(update={"signatures": "off", "signing_key": None, "trusted_keys": ()})
    version = await stored(outside, 1, 1)
    async with running(settings.model_copy(update={"registry": off})) as node:
        await outside.send_release(announcement(version, 1))
        await eventually(lambda: version_of(node) == 1)
