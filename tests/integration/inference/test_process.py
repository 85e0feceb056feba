"""The process itself: started by its module name, stopped by signals."""

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from inference.settings import InferenceSettings
from schemas.topics import JUDGEMENTS
from tests.integration.inference.outside import Outside, eventually

ROOT = Path(__file__).resolve().parents[3]


def environment(settings: InferenceSettings) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WELDSTREAM_")}
    sections = settings.model_dump(mode="json", include={"kafka", "registry", "http", "serving", "flagging"})
    return kept | {f"WELDSTREAM_{name.upper()}": json.dumps(section) for name, section in sections.items()}


@asynccontextmanager
async def started(settings: InferenceSettings) -> AsyncIterator[tuple[Process, str]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "inference.app", cwd=ROOT, env=environment(settings), stderr=PIPE
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(60):
            while (found := re.search(r"listening on (\S+)", (await process.stderr.readline()).decode())) is None:
                assert process.returncode is None
        yield process, found[1]
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signals_drain_and_a_restart_goes_on(
    settings: InferenceSettings, outside: Outside, number: signal.Signals
) -> None:
    await outside.release(1)

    async def acquire() -> None:
        for n in range(150):
            await outside.publish(n, f"weld-{n % 5}")

    async with started(settings) as (process, _):
        acquisition = asyncio.create_task(acquire())
        await outside.until(JUDGEMENTS, 20)
        process.send_signal(number)
        async with asyncio.timeout(30):
            assert await process.wait() == 0
    await acquisition
    async with started(settings):
        await outside.until(JUDGEMENTS, 150)
    await outside.assert_judged_once()


async def test_stops_while_it_waits_for_a_model(settings: InferenceSettings, outside: Outside) -> None:
    async with started(settings) as (process, url):
        assert url.startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await process.wait() == 0


async def test_stops_while_kafka_does_not_answer(settings: InferenceSettings) -> None:
    unreachable = settings.kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:1"})
    async with started(settings.model_copy(update={"kafka": unreachable})) as (process, _):
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await process.wait() == 0


async def test_a_killed_process_loses_nothing(settings: InferenceSettings, outside: Outside) -> None:
    await outside.release(1)
    for number in range(100):
        await outside.publish(number, f"weld-{number % 5}")
    async with started(settings) as (process, _):
        await outside.until(JUDGEMENTS, 20)
        process.kill()
        await process.wait()
    async with started(settings):
        await eventually(lambda: {j.frame_id for j in outside.judgements()} == set(outside.published))
    # What was judged again says so: the answers to a frame share its id and agree.
    answers: dict[str, set[tuple[object, ...]]] = {}
    for judgement in outside.judgements():
        answers.setdefault(judgement.frame_id, set()).add((judgement.indications, judgement.source.offset))
    assert {len(found) for found in answers.values()} == {1}
