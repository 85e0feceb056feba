"""The service as a process of its own, and the frames that stream while it is broken."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from inference.settings import InferenceSettings
from tests.integration.inference.outside import Outside

ROOT = Path(__file__).resolve().parents[2]
FRAMES_SENT = 150


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


async def acquire(outside: Outside, frames: int = FRAMES_SENT) -> None:
    """Publish frames of three welds at a time, ten of each."""
    for number in range(frames):
        await outside.publish(number, f"weld-{number // 30}-{number % 3}")
        await asyncio.sleep(0.01)
