"""The service as a process of its own, and the frames that stream while it is broken."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from inference.settings import InferenceSettings
from tests.integration.inference.outside import Outside
from tests.integration.inference.test_process import ROOT, environment

FRAMES_SENT = 150


@asynccontextmanager
async def started(settings: InferenceSettings, crash_at: str = "") -> AsyncIterator[Process]:
    variables = environment(settings) | {"WELDSTREAM_CRASH_AT": crash_at}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "inference.app", cwd=ROOT, env=variables, stderr=DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def acquire(outside: Outside, frames: int = FRAMES_SENT) -> None:
    """Publish frames of three welds at a time, ten of each."""
    for number in range(frames):
        await outside.publish(number, f"weld-{number // 30}-{number % 3}")
        await asyncio.sleep(0.01)
