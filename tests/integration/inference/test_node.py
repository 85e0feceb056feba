import asyncio
import random

import pytest
from safetensors.numpy import save

from inference.node import InferenceNode
from inference.settings import InferenceSettings
from schemas.events import DefectAlert
from schemas.judgements import Judgement
from schemas.labels import ReviewRequest
from schemas.topics import ALERTS, DEAD_LETTERS, FRAMES, JUDGEMENTS, MODEL_RELEASES, REVIEW_REQUESTS
from stream.codec import FrameLimits, decode_event, decode_raster, encode_frame
from stream.ledger import check_pass, passes
from stream.records import OutRecord
from tests.integration.inference.conftest import running
from tests.integration.inference.outside import Outside, eventually
from tests.unit.inference.tiny import graph_bytes, make_frame, make_version, scan, tiny_weights

LIMITS = FrameLimits()


def version_of(node: InferenceNode) -> int:
    return 0 if node.slot.current is None else node.slot.current.version.model.version


async def test_every_frame_is_judged_once(settings: InferenceSettings, outside: Outside) -> None:
    await outside.release(1)
    for number in range(40):
        await outside.publish(number, f"weld-{number % 3}", defect=number % 2 == 0)
    async with running(settings):
        await outside.until(JUDGEMENTS, 40)
    await outside.assert_judged_once()
    by_id = {judgement.frame_id: judgement for judgement in outside.judgements()}
    seen = by_id["weld-0-0"]
    assert (seen.model.version, seen.classes, seen.flagged) == (1, settings.classes.codes, True)
    assert (decode_raster(seen.mask, LIMITS) == (scan(0) == 255)).all()
    (indication,) = seen.indications
    assert (indication.code, indication.area_mm2) == (100, 48 * 0.125)
    assert by_id["weld-1-1"].indications == ()
    assert not by_id["weld-1-1"].flagged
    requests = [decode_event(r, REVIEW_REQUESTS, ReviewRequest) for r in outside.records[REVIEW_REQUESTS.name]]
    assert sorted(r.request_id for r in requests) == sorted(f for f, j in by_id.items() if j.flagged)
    assert (decode_raster(requests[0].pixels, LIMITS) == scan(int(requests[0].frame.frame_id.split("-")[-1]))).all()
    # Defects 6 mm apart on each weld: further than the merge distance, so each is its own.
    alerts = [decode_event(r, ALERTS, DefectAlert) for r in outside.records[ALERTS.name]]
    assert sorted(a.frame_id for a in alerts) == sorted(r.request_id for r in requests)


async def test_waits_for_the_first_model_and_loses_nothing(settings: InferenceSettings, outside: Outside) -> None:
    for number in range(5):
        await outside.publish(number)
    async with running(settings) as node:
        assert (await outside.status(node, "/healthz"))[0] == 200
        status, text = await outside.status(node, "/readyz")
        assert (status, "no model" in text) == (503, True)
        assert outside.judgements() == []
        await outside.release(1)
        await outside.until(JUDGEMENTS, 5)
        assert (await outside.status(node, "/readyz"))[0] == 200
        metrics = (await outside.status(node, "/metrics"))[1]
        assert 'weldstream_inference_frames_total{outcome="judged"} 5.0' in metrics
        assert "weldstream_inference_model_version 1.0" in metrics
    await outside.assert_judged_once()


async def test_bad_frames_become_dead_letters_and_the_next_is_judged(
    settings: InferenceSettings, outside: Outside
) -> None:
    await outside.release(1)
    topic = outside.kafka.topic(FRAMES)
    good = encode_frame(make_frame(90, "weld-1"), scan(), topic=topic, source="/test")
    bad = [
        OutRecord(topic, b"weld-1", b"no image", ()),
        OutRecord(topic, b"weld-1", b"no image", good.headers),
        OutRecord(topic, b"weld-1", b"", good.headers),
        OutRecord(topic, b"weld-1", None, good.headers),
        OutRecord(topic, b"weld-1", (good.value or b"")[:60], good.headers),
        OutRecord(topic, b"\xff\xfe", good.value, ((b"\x00".decode(), None), ("ce_type", b"\xff"))),
    ]
    async with running(settings) as node:
        await outside.publish(0)
        await outside.send_many(bad)
        await outside.publish(1)
        await outside.until(DEAD_LETTERS, len(bad))
        await outside.until(JUDGEMENTS, 2)
        text = (await outside.status(node, "/metrics"))[1]
        assert f'weldstream_inference_frames_total{{outcome="dead_letter"}} {float(len(bad))}' in text
    await outside.assert_judged_once()
    letters = outside.dead_letters()
    assert sorted(letter.original.value or b"" for letter in letters) == sorted(r.value or b"" for r in bad)
    assert all(letter.message and letter.topic == topic for letter in letters)


async def test_random_records_never_stop_the_stream(settings: InferenceSettings, outside: Outside) -> None:
    await outside.release(1)
    rng = random.Random(7)
    topic = outside.kafka.topic(FRAMES)
    names = [name for name, _ in encode_frame(make_frame(), scan(), topic=topic, source="/test").headers]
    noise = [
        OutRecord(
            topic,
            rng.randbytes(rng.randrange(1, 9)),
            rng.randbytes(rng.randrange(200)),
            tuple((name, rng.choice([None, rng.randbytes(6)])) for name in rng.sample(names, rng.randrange(9))),
        )
        for _ in range(200)
    ]
    async with running(settings):
        await outside.send_many(noise)
        await outside.publish(0)
        await outside.until(DEAD_LETTERS, len(noise))
        await outside.until(JUDGEMENTS, 1)
    await outside.assert_judged_once()


def with_serving(settings: InferenceSettings, **changes: object) -> InferenceSettings:
    return settings.model_copy(update={"serving": settings.serving.model_copy(update=changes)})


def assert_each_version_answered_as_itself(settings: InferenceSettings, judgements: list[Judgement]) -> None:
    for judgement in judgements:
        version = judgement.model.version
        value = 1 if version == 1 else 1 + version % 5
        assert {i.code for i in judgement.indications} == {settings.classes[value].code}


async def test_swaps_under_load_lose_nothing_and_judge_nothing_twice(
    settings: InferenceSettings, outside: Outside
) -> None:
    settings = with_serving(settings, swap="immediate")
    await outside.release(1, defect=1)

    async def acquire() -> None:
        for number in range(300):
            await outside.publish(number, f"weld-{number % 5}")
            await asyncio.sleep(0.005)

    async with running(settings) as node:
        acquisition = asyncio.create_task(acquire())
        for version in range(2, 8):
            await outside.until(JUDGEMENTS, 35 * version)
            await outside.release(version, defect=1 + version % 5)
        await acquisition
        await outside.until(JUDGEMENTS, 300)
        assert node.slot.current is not None
    await outside.assert_judged_once()
    judgements = outside.judgements()
    assert len({j.model.version for j in judgements}) > 3
    assert_each_version_answered_as_itself(settings, judgements)
    assert node.metrics.swap_seconds.collect()[0].samples[-2].value > 0


async def test_a_weld_is_judged_by_one_version_however_many_are_released_meanwhile(
    settings: InferenceSettings, outside: Outside
) -> None:
    settings = with_serving(settings, weld_idle_seconds=2.0)
    await outside.release(1, defect=1)

    async def acquire() -> None:
        # Three welds at a time, of 20 frames each.
        for number in range(360):
            await outside.publish(number, f"weld-{number // 60}-{number % 3}")
            await asyncio.sleep(0.02)

    async with running(settings) as node:
        acquisition = asyncio.create_task(acquire())
        for version in range(2, 8):
            await outside.until(JUDGEMENTS, 45 * version)
            await outside.release(version, defect=1 + version % 5)
        await acquisition
        await outside.until(JUDGEMENTS, 360)
        await eventually(lambda: len(node.slot.live) == 1)
    await outside.assert_judged_once()
    judgements = outside.judgements()
    assert_each_version_answered_as_itself(settings, judgements)
    versions: dict[str, set[int]] = {}
    for judgement in judgements:
        versions.setdefault(judgement.weld_id, set()).add(judgement.model.version)
    assert all(len(of_weld) == 1 for of_weld in versions.values()), versions
    assert len(set().union(*versions.values())) > 2
    for own in passes(outside.entries()).values():
        assert check_pass(own) == []


@pytest.mark.parametrize("fault", ["digest", "missing", "graph", "weights", "preprocessing", "classes", "unreadable"])
async def test_a_bad_release_leaves_the_old_model_serving(
    settings: InferenceSettings, outside: Outside, fault: str
) -> None:
    await outside.release(1)
    graph, weights = graph_bytes(), save(tiny_weights(2))
    blobs = {"graph": b"no graph", "weights": b"no weights"}
    graph, weights = (
        (blobs.get(fault, graph) if fault == "graph" else graph),
        (blobs["weights"] if fault == "weights" else weights),
    )
    changes: dict[str, object] = {}
    if fault == "preprocessing":
        changes["preprocessing"] = "other"
    if fault == "classes":
        changes["classes"] = {"classes": [{"code": 9, "name": "else"}]}
    version = make_version(2, graph, weights, **changes)
    if fault != "missing":
        outside.artifacts.put(graph)
        outside.artifacts.put(weights)
    if fault == "digest":
        next(outside.stored(version.weights)).write_bytes(b"\0" * len(weights))
    async with running(settings) as node:
        await outside.publish(0)
        await outside.until(JUDGEMENTS, 1)
        if fault == "unreadable":
            await outside.send(OutRecord(outside.kafka.topic(MODEL_RELEASES), b"weld", b"{", ()))
        else:
            await outside.announce(version, 2)
        await outside.until(DEAD_LETTERS, 1)
        await outside.publish(1)
        await outside.until(JUDGEMENTS, 2)
        text = (await outside.status(node, "/metrics"))[1]
        (letter,) = outside.dead_letters()
        assert f'releases_refused_total{{reason="{letter.reason}"}} 1.0' in text
        await outside.release(3)
        await outside.publish(2)
        await outside.until(JUDGEMENTS, 3)
    assert {j.model.version for j in outside.judgements()[:2]} == {1}
    expected = {
        "digest": "digest_mismatch",
        "missing": "artifact_not_found",
        "graph": "model_load_failed",
        "weights": "model_load_failed",
        "preprocessing": "incompatible_release",
        "classes": "incompatible_release",
        "unreadable": "missing_header",
    }
    assert letter.reason == expected[fault]
    await outside.assert_judged_once()


async def test_an_announcement_that_is_not_newer_is_ignored(settings: InferenceSettings, outside: Outside) -> None:
    await outside.release(10)
    async with running(settings) as node:
        await outside.publish(0)
        await outside.until(JUDGEMENTS, 1)
        graph, weights = graph_bytes(), save(tiny_weights(2))
        outside.artifacts.put(weights)
        await outside.announce(make_version(9, graph, weights), 9)
        await outside.release(11)
        await eventually(lambda: version_of(node) == 11)
        assert node.metrics.swaps._value.get() == 2


async def test_an_orderly_restart_loses_nothing_and_judges_nothing_twice(
    settings: InferenceSettings, outside: Outside
) -> None:
    await outside.release(1)

    async def acquire() -> None:
        for number in range(200):
            await outside.publish(number, f"weld-{number % 5}")

    acquisition = asyncio.create_task(acquire())
    for stop_at in (20, 60, 100):
        async with running(settings):
            await outside.until(JUDGEMENTS, stop_at)
    await acquisition
    async with running(settings):
        await outside.until(JUDGEMENTS, 200)
    await outside.assert_judged_once()


async def test_a_rebalance_loses_nothing_and_judges_nothing_twice(
    settings: InferenceSettings, outside: Outside
) -> None:
    await outside.release(1)

    async def acquire() -> None:
        for number in range(300):
            await outside.publish(number, f"weld-{number % 8}")
            await asyncio.sleep(0.01)

    async with running(settings) as first:
        acquisition = asyncio.create_task(acquire())
        await outside.until(JUDGEMENTS, 30)
        async with running(settings) as second:
            await eventually(lambda: second.partitions.assigned and first.partitions.assigned)
            assert not second.partitions.assigned & first.partitions.assigned
            before = len(outside.judgements())
            await outside.until(JUDGEMENTS, before + 50)
        await acquisition
        await outside.until(JUDGEMENTS, 300)
    await outside.assert_judged_once()


async def test_a_pinned_shadow_sees_all_frames_and_only_judges(settings: InferenceSettings, outside: Outside) -> None:
    from memory.registry import open_registry

    await outside.release(1)
    shadow = settings.model_copy(
        update={
            "serving": settings.serving.model_copy(
                update={"role": "shadow", "output_suffix": "-frozen", "pinned_version": 1}
            )
        }
    )
    registry = open_registry(settings.registry, publishes=True)
    graph, weights = graph_bytes(), save(tiny_weights())
    version = make_version(1, graph, weights)
    fields = {name: getattr(version, name) for name in type(version).model_fields if name not in {"model", "signature"}}
    async with running(settings) as champion, running(shadow) as node:
        registry.publish(**fields)
        await outside.release(2, defect=3)
        await eventually(lambda: version_of(champion) == 2)
        for number in range(20):
            await outside.publish(number)
        await outside.until(JUDGEMENTS, 20)
        await eventually(lambda: node.metrics.frames.labels("judged")._value.get() == 20)
        assert node.slot.current is not None
        assert node.slot.current.version.model.version == 1
    await outside.assert_judged_once()
    assert len(outside.records[ALERTS.name]) == 1
