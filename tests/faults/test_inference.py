"""Inference killed, stopped, stalled and doubled: every frame is judged once, a weld by one version, in one chain."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from inference.settings import InferenceSettings
from schemas.topics import DEAD_LETTERS, FRAMES, JUDGEMENTS
from stream.records import OutRecord
from tests.faults.report import FaultReport
from tests.integration.inference.outside import Outside

ROOT = Path(__file__).resolve().parents[2]
FRAMES_SENT = 150
CRASH_POINTS = ("fetched", "computed", "concluded", "sent", "offsets_sent", "committed")


def environment(settings: InferenceSettings, crash_at: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WELDSTREAM_")}
    sections = settings.model_dump(mode="json", include={"kafka", "registry", "http", "serving", "flagging"})
    own = {f"WELDSTREAM_{name.upper()}": json.dumps(section) for name, section in sections.items()}
    return kept | own | {"WELDSTREAM_CRASH_AT": crash_at}


@asynccontextmanager
async def started(settings: InferenceSettings, crash_at: str = "") -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "inference.app", cwd=ROOT, env=environment(settings, crash_at), stderr=DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture
def settings(settings: InferenceSettings) -> InferenceSettings:
    """Small batches, so that there is much to interrupt, and a session that is missed soon."""
    return settings.model_copy(update={"serving": settings.serving.model_copy(update={"max_batch": 4})})


async def acquire(outside: Outside, frames: int = FRAMES_SENT) -> None:
    """Publish frames of three welds at a time, ten of each."""
    for number in range(frames):
        await outside.publish(number, f"weld-{number // 30}-{number % 3}")
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("point", CRASH_POINTS)
@pytest.mark.timeout(180)
async def test_killed_at(
    settings: InferenceSettings, outside: Outside, faults: FaultReport, point: str, count: int
) -> None:
    await outside.register(1, defect=1 + 1)
    acquisition = asyncio.create_task(acquire(outside))
    async with started(settings, f"{point}:{count}") as process, asyncio.timeout(60):
        assert await process.wait() == -signal.SIGKILL
    # Welds in progress must go on with the version that they began with, though another serves by now.
    await outside.register(2, defect=1 + 2)
    await acquisition
    async with started(settings):
        await outside.until(JUDGEMENTS, FRAMES_SENT)
    await outside.read_all()
    method = f"SIGKILL when a batch is {point.replace('_', ' ')} for the {count}. time, a release, and a restart"
    faults.frames(f"inference killed: {point}, {count}", method, outside.published, outside.entries())


@pytest.mark.timeout(180)
async def test_stopped_in_order_again_and_again(
    settings: InferenceSettings, outside: Outside, faults: FaultReport
) -> None:
    await outside.register(1, defect=1 + 1)
    acquisition = asyncio.create_task(acquire(outside))
    for stop_at in (20, 60, 100):
        async with started(settings) as process:
            await outside.until(JUDGEMENTS, stop_at)
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(30):
                assert await process.wait() == 0
    await acquisition
    async with started(settings):
        await outside.until(JUDGEMENTS, FRAMES_SENT)
    await outside.read_all()
    faults.frames("inference stopped in order", "SIGTERM three times under load", outside.published, outside.entries())


@pytest.mark.timeout(240)
async def test_a_stalled_process_wakes_up_as_a_zombie(
    settings: InferenceSettings, outside: Outside, faults: FaultReport
) -> None:
    await outside.register(1, defect=1 + 1)
    acquisition = asyncio.create_task(acquire(outside))
    async with started(settings) as zombie:
        await outside.until(JUDGEMENTS, 20)
        zombie.send_signal(signal.SIGSTOP)
        async with started(settings):
            await acquisition
            await outside.until(JUDGEMENTS, FRAMES_SENT)
            zombie.send_signal(signal.SIGCONT)
            for number in range(FRAMES_SENT, FRAMES_SENT + 30):
                await outside.publish(number, f"weld-late-{number % 3}")
            await outside.until(JUDGEMENTS, FRAMES_SENT + 30)
    await outside.read_all()
    method = "SIGSTOP until its session has timed out and another process has judged everything, then SIGCONT"
    faults.frames("inference stalled past its session", method, outside.published, outside.entries())


@pytest.mark.timeout(240)
async def test_nodes_join_and_leave_under_load(
    settings: InferenceSettings, outside: Outside, faults: FaultReport
) -> None:
    await outside.register(1, defect=1 + 1)
    acquisition = asyncio.create_task(acquire(outside, 300))
    async with started(settings) as first:
        await outside.until(JUDGEMENTS, 20)
        async with started(settings) as second:
            await outside.until(JUDGEMENTS, 120)
            await outside.register(2, defect=1 + 2)
            first.send_signal(signal.SIGTERM)
            async with asyncio.timeout(60):
                assert await first.wait() == 0
            async with started(settings):
                await outside.until(JUDGEMENTS, 200)
                second.kill()
                await acquisition
                await outside.until(JUDGEMENTS, 300)
    await outside.read_all()
    method = "a second joins, the first stops in order, a third joins, the second is killed, with a release meanwhile"
    faults.frames("inference nodes join and leave", method, outside.published, outside.entries())


@pytest.mark.timeout(180)
async def test_poison_in_the_middle_of_a_batch(
    settings: InferenceSettings, outside: Outside, faults: FaultReport
) -> None:
    await outside.register(1, defect=1 + 1)
    poison = OutRecord(outside.kafka.topic(FRAMES), b"weld-0-0", b"no image", ())
    for number in range(60):
        await outside.publish(number, f"weld-{number // 30}-{number % 3}")
        if number % 10 == 5:
            await outside.send(poison)
    async with started(settings):
        await outside.until(JUDGEMENTS, 60)
        await outside.until(DEAD_LETTERS, 6)
    await outside.read_all()
    assert len(outside.dead_letters()) == 6
    faults.frames("poison frames", "every tenth frame is no image", outside.published, outside.entries(), letters=6)
