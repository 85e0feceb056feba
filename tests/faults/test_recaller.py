"""The recaller killed wherever it can be: after a roll-back every frame is judged again, and told once."""

from asyncio import sleep, timeout
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from inference.recall_log import request_id
from inference.settings import InferenceSettings
from schemas.events import ReleaseKind
from schemas.topics import JUDGEMENTS
from tests.faults.conftest import early_and_later
from tests.faults.frames import FrameTrial
from tests.faults.services import killed
from tests.integration.inference.conftest import running
from tests.integration.inference.outside import eventually
from tests.integration.inference.test_recall import BLIND, caught_up, environment, recalls, released, requests, store

WELDS, EACH = 4, 36
"""A weld's judgements are published 32 at a time: each has two records."""
CRASH_POINTS = ("judged_again", "sent", "recalled")


@pytest.mark.parametrize("where", early_and_later(CRASH_POINTS, 6, ("sent",)))
@pytest.mark.timeout(240)
async def test_killed_at(frames: FrameTrial, settings: InferenceSettings, tmp_path: Path, where: str) -> None:
    outside = frames.outside
    flips = await judged_by_a_blind_one(frames)
    async with frames.services.running("inference.recaller", environment(settings, where)) as recaller:
        await killed(recaller)
    # Nobody reads now: what a killed one left open hides all behind it until the next one has begun, or for a minute.
    async with frames.services.running("inference.recaller", environment(settings, "")):
        await eventually_recalled(settings)
    # Whoever starts now finds nothing left to be judged again.
    await caught_up(settings, tmp_path)
    found = await recalls(settings)
    asked = Counter(request.request_id for request in await requests(settings))
    newest = {recall.weld_id: recall for recall in found}
    told = Counter((recall.weld_id, recall.upto.offset) for recall in found)
    listed = {frame for recall in newest.values() for frame in recall.flipped}
    wanted = {request_id(2, 1, frame) for frame in flips}
    wrong = {
        "frames not judged again, or twice": sum(abs(EACH - newest[weld].frames) for weld in newest),
        "welds missing": WELDS - len(newest),
        "flips missing from the list, or wrongly on it": len(listed ^ flips),
        "records published twice": sum(told.values()) - len(told),
        "requests missing, or for frames that do not flip": len(wanted ^ asked.keys()),
        "requests published twice": sum(asked.values()) - len(asked),
    }
    point, _, time = where.partition(":")
    method = (
        f"SIGKILL when a part of a weld is {point.replace('_', ' ')} for the {time}. time, and a restart; "
        f"{len(outside.published)} frames judged by a version that was taken back, {len(flips)} flip"
    )
    frames.report.recalls(f"recaller killed: {point}, {time}", method, wrong, len(outside.published))


async def judged_by_a_blind_one(frames: FrameTrial) -> set[str]:
    """Let a version judge that sees nothing, and take it back; return the frames that show a defect."""
    settings, outside = frames.settings, frames.outside
    await store(settings, outside, 1, 3.0)
    await store(settings, outside, 2, BLIND)
    await released(settings, outside, 1, ReleaseKind.INITIAL)
    await released(settings, outside, 2)
    flips = set()
    async with running(settings) as node:
        await eventually(lambda: node.slot.current is not None and node.slot.current.version.model.version == 2)
        for number in range(WELDS * EACH):
            defect = number // WELDS % 3 == 0
            await outside.publish(number, f"weld-{number % WELDS}", defect=defect)
            if defect:
                flips.add(outside.published[-1])
        await outside.until(JUDGEMENTS, WELDS * EACH)
        await released(settings, outside, 1, ReleaseKind.ROLLBACK)
    assert {judgement.model.version for judgement in outside.judgements()} == {2}
    return flips


async def eventually_recalled(settings: InferenceSettings) -> None:
    """Wait until each weld's newest record is of all its frames."""
    frames: defaultdict[str, int] = defaultdict(int)
    async with timeout(90):
        while sum(frames.values()) < WELDS * EACH:
            for recall in await recalls(settings):
                frames[recall.weld_id] = recall.frames
            await sleep(0.2)
