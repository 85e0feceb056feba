"""What other versions say of what was judged: on request, and by itself after a roll-back."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from inference.loading import Versions
from inference.recall import Recaller
from inference.recall_log import RecalledElsewhereError, RecallLog, request_id
from inference.recall_metrics import RecallMetrics
from inference.recall_plan import Limits, Plan, RecallReport
from inference.recall_settings import RecallSettings
from inference.rollbacks import Rollbacks
from inference.settings import InferenceSettings
from memory.registry import ModelRegistry
from schemas.events import ModelReleased, ReleaseKind
from schemas.labels import ReviewReason, ReviewRequest
from schemas.recalls import WeldRecall
from schemas.topics import JUDGEMENTS, MODEL_RELEASES, RECALLS, REVIEW_REQUESTS
from stream.broker import send_and_wait
from stream.codec import FrameLimits, decode_event, decode_raster, encode_event
from stream.crash_points import CrashPoints
from tests.integration.inference.conftest import running
from tests.integration.inference.outside import Outside, eventually
from tests.integration.inference.tampering import records_of
from tests.unit.inference.tiny import scan

ROOT = Path(__file__).resolve().parents[3]
BLIND = 1e6
"""No pixel is that bright: a version with this threshold sees nothing."""
LIMITS = Limits()


def now() -> datetime:
    return datetime.now(UTC)


async def recall(
    settings: InferenceSettings, plan: Plan, cache: Path, *, request: bool = False, limits: Limits = LIMITS
) -> RecallReport:
    recaller = Recaller(settings.kafka, Versions.of(settings.registry, cache), now)
    if not request:
        return await recaller.run(plan, limits, known={})
    async with RecallLog(settings.kafka, settings.kafka.topic_prefix, "recall", now, requests=True) as log:
        return await recaller.run(plan, limits, known=await log.read(plan.recall_id), publish=log.publish)


async def judged(settings: InferenceSettings, outside: Outside, *, threshold: float = 3.0) -> None:
    """Eight frames of four welds by v1; those of weld-0 show defects, which a blind one does not see."""
    await outside.register(1, defect=1, threshold=threshold)
    for number in range(8):
        await outside.publish(number, f"weld-{number % 4}", defect=number % 4 == 0)
    async with running(settings):
        await outside.until(JUDGEMENTS, 8)


async def requests(settings: InferenceSettings) -> list[ReviewRequest]:
    found = [
        decode_event(record, REVIEW_REQUESTS, ReviewRequest)
        for record in await records_of(settings.kafka, REVIEW_REQUESTS)
    ]
    return [request for request in found if ReviewReason.RECALL in request.reasons]


async def recalls(settings: InferenceSettings) -> list[WeldRecall]:
    return [decode_event(record, RECALLS, WeldRecall) for record in await records_of(settings.kafka, RECALLS)]


async def test_a_recall_names_the_welds_whose_verdict_flips(
    settings: InferenceSettings, outside: Outside, tmp_path: Path
) -> None:
    await judged(settings, outside)
    await outside.register(2, defect=1, threshold=BLIND)
    report = await recall(settings, Plan("r", "weld", (1,), 2), tmp_path)
    assert [(w.weld_id, w.defective_before, w.defective_after) for w in report.flipped] == [("weld-0", True, False)]
    assert (sum(w.frames for w in report.welds.values()), report.complete) == (8, True)
    assert (await recall(settings, Plan("r", "weld", (2,), 1), tmp_path)).welds == {}
    assert (await recall(settings, Plan("r", "other", (1,), 2), tmp_path)).welds == {}
    later = Plan("r", "weld", (1,), 2, since=now())
    assert (await recall(settings, later, tmp_path)).welds == {}
    assert await requests(settings) == []


async def test_inspectors_are_asked_once_for_each_frame_that_flips(
    settings: InferenceSettings, outside: Outside, tmp_path: Path
) -> None:
    await judged(settings, outside, threshold=BLIND)
    await outside.register(2, defect=1)
    plan = Plan("r", "weld", (1,), 2)
    for _ in range(2):
        report = await recall(settings, plan, tmp_path, request=True)
        assert [(w.weld_id, w.flipped) for w in report.flipped] == [("weld-0", ("weld-0-0", "weld-0-4"))]
        asked = await requests(settings)
        assert [r.request_id for r in asked] == [request_id(1, 2, f"weld-0-{n}") for n in (0, 4)]
        assert len(await recalls(settings)) == 4
    assert all(r.reasons == (ReviewReason.RECALL,) and not r.judgement.flagged for r in asked)
    assert (decode_raster(asked[1].pixels, FrameLimits()) == scan(4)).all()


async def test_a_limit_ends_it_and_the_next_one_goes_on_there(
    settings: InferenceSettings, outside: Outside, tmp_path: Path
) -> None:
    await judged(settings, outside, threshold=BLIND)
    await outside.register(2, defect=1)
    plan, looked_at = Plan("r", "weld", (1,), 2), []
    for _ in range(3):
        report = await recall(settings, plan, tmp_path, request=True, limits=Limits(frames=3))
        looked_at.append((sum(w.frames for w in report.welds.values()), report.complete))
    assert looked_at == [(3, False), (6, False), (8, True)]
    assert Counter(r.request_id for r in await requests(settings)) == Counter(
        request_id(1, 2, f"weld-0-{n}") for n in (0, 4)
    )
    assert not (await recall(settings, Plan("s", "weld", (1,), 2), tmp_path, limits=Limits(seconds=0))).complete


async def test_who_comes_later_fences_who_recalled_before(
    settings: InferenceSettings, outside: Outside, tmp_path: Path
) -> None:
    await judged(settings, outside)
    await outside.register(2, defect=1, threshold=BLIND)
    recaller = Recaller(settings.kafka, Versions.of(settings.registry, tmp_path), now)
    plan, name = Plan("r", "weld", (1,), 2), f"{settings.kafka.topic_prefix}recall"
    async with RecallLog(settings.kafka, name, "test", now, requests=True) as old:
        async with RecallLog(settings.kafka, name, "test", now, requests=True) as new:
            await recaller.run(plan, LIMITS, known={}, publish=new.publish)
        with pytest.raises(RecalledElsewhereError):
            await recaller.run(plan, LIMITS, known={}, publish=old.publish)
    assert len(await recalls(settings)) == 4


def environment(settings: InferenceSettings, crash_at: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WELDSTREAM_")}
    sections = settings.model_dump(mode="json", include={"kafka", "registry", "http"})
    own = {"group_id": f"{settings.kafka.topic_prefix}recaller", "rescan_seconds": 0.5, "settle_seconds": 2}
    return kept | {
        "WELDSTREAM_CRASH_AT": crash_at,
        "WELDSTREAM_RECALL": json.dumps(own),
        **{f"WELDSTREAM_{name.upper()}": json.dumps(section) for name, section in sections.items()},
    }


@asynccontextmanager
async def recaller(settings: InferenceSettings, crash_at: str = "") -> AsyncIterator[Process]:
    """The process itself."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "inference.recaller", cwd=ROOT, env=environment(settings, crash_at), stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        _, log = await process.communicate()
        assert process.returncode in {0, -signal.SIGKILL}, log.decode()


async def announce(outside: Outside, released: ModelReleased) -> None:
    record = encode_event(
        outside.kafka.topic(MODEL_RELEASES),
        MODEL_RELEASES,
        released,
        key="weld",
        event_id=f"weld-{released.sequence}",
        source="/test",
        time=released.announced_at,
    )
    await send_and_wait(outside.producer, record)


async def released(
    settings: InferenceSettings, outside: Outside, number: int, kind: ReleaseKind = ReleaseKind.RELEASE
) -> ModelReleased:
    """Promote a version in the registry, as the learner does, and announce it."""
    registry = ModelRegistry(settings.registry.uri, settings.registry.model_name, signer=outside.signer)
    if kind is ReleaseKind.ROLLBACK:
        found = await asyncio.to_thread(registry.roll_back, "it is worse", number)
    else:
        found = await asyncio.to_thread(registry.promote, number, kind)
    await announce(outside, found)
    return found


async def store(settings: InferenceSettings, outside: Outside, number: int, threshold: float) -> None:
    """Put a version into the registry without announcing it."""
    from safetensors.numpy import save

    from tests.unit.inference.tiny import graph_bytes, make_version, tiny_weights

    graph, weights = graph_bytes(), save(tiny_weights(1, threshold))
    for blob in (graph, weights):
        await asyncio.to_thread(outside.artifacts.put, blob)
    version = make_version(number, graph, weights)
    fields = {name: getattr(version, name) for name in type(version).model_fields if name not in {"model", "signature"}}
    registry = ModelRegistry(settings.registry.uri, settings.registry.model_name, signer=outside.signer)
    published = await asyncio.to_thread(lambda: registry.publish(**fields))
    assert published.model.version == number


async def until(settings: InferenceSettings, count: int) -> list[WeldRecall]:
    """Wait until so many welds were recalled, those recalled twice counting as two."""
    async with asyncio.timeout(60):
        while len(found := await recalls(settings)) < count:  # noqa: ASYNC110 - polled, not signalled
            await asyncio.sleep(0.2)
    return found


async def caught_up(settings: InferenceSettings, cache: Path) -> None:
    """Follow the roll-backs once, as the process does when it starts."""
    versions = Versions.of(settings.registry, cache)
    rollbacks = Rollbacks(
        settings.kafka,
        RecallSettings(),
        versions.registry,
        Recaller(settings.kafka, versions, now),
        RecallMetrics(CollectorRegistry()),
        CrashPoints(),
        now,
    )
    async with RecallLog(settings.kafka, settings.kafka.topic_prefix, "recaller", now, requests=True) as log:
        await rollbacks.catch_up(log)


@pytest.mark.parametrize("crash_at", ["judged_again:2", "recalled:2"])
@pytest.mark.timeout(180)
async def test_a_roll_back_is_followed_by_a_recall_also_if_that_is_killed_in_between(
    settings: InferenceSettings, outside: Outside, tmp_path: Path, crash_at: str
) -> None:
    # Nothing ends by itself meanwhile, however slow the machine is.
    serving = settings.serving.model_copy(update={"weld_idle_seconds": 600.0})
    settings = settings.model_copy(update={"serving": serving})
    await store(settings, outside, 1, 3.0)
    await store(settings, outside, 2, BLIND)
    await released(settings, outside, 1, ReleaseKind.INITIAL)
    async with running(settings) as node:
        for number in range(4):
            await outside.publish(number, f"by-1-{number % 2}")
        await outside.until(JUDGEMENTS, 4)
        await released(settings, outside, 2)
        await eventually(lambda: node.slot.current is not None and node.slot.current.version.model.version == 2)
        # By the bad one: weld-0 and weld-2 are defective, which it does not see.
        for number in range(8):
            await outside.publish(number, f"weld-{number % 4}", defect=number % 2 == 0)
        await outside.until(JUDGEMENTS, 12)
        rollback = await released(settings, outside, 1, ReleaseKind.ROLLBACK)
        async with recaller(settings, crash_at) as killed, asyncio.timeout(60):
            assert await killed.wait() == -signal.SIGKILL
        before = await recalls(settings)
        assert len(before) == (1 if crash_at == "judged_again:2" else 2)
        async with recaller(settings):
            await until(settings, 4)
            # A weld in progress ends on the version that it began with: what comes late is recalled too.
            await outside.publish(8, "weld-0")
            await outside.until(JUDGEMENTS, 13)
            found = await until(settings, 5)
    assert Counter(recall.weld_id for recall in found) == Counter({"weld-0": 2, "weld-1": 1, "weld-2": 1, "weld-3": 1})
    newest = {recall.weld_id: recall for recall in found}
    assert {recall.recall_id for recall in found} == {f"weld-{rollback.sequence}"}
    assert {r.weld_id for r in newest.values() if r.verdict_flips} == {"weld-0", "weld-2"}
    assert (newest["weld-0"].frames, newest["weld-0"].flipped) == (3, ("weld-0-0", "weld-0-4", "weld-0-8"))
    assert all((r.judged_by, r.judged_again_by) == ((2,), 1) for r in found)
    asked = Counter(request.request_id for request in await requests(settings))
    flipped = ("weld-0-0", "weld-0-4", "weld-0-8", "weld-2-2", "weld-2-6")
    assert asked == Counter(request_id(2, 1, frame_id) for frame_id in flipped)
    # Whoever starts now finds nothing left to be judged again.
    await caught_up(settings, tmp_path)
    assert len(await recalls(settings)) == 5
    assert Counter(request.request_id for request in await requests(settings)) == asked
