"""The active learner sleeps, or stops: a stand-by takes over, and what it took over stays its own."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from schemas.settings import KafkaSettings, RedisSettings
from tests.faults.report import FaultReport
from tests.faults.services import Services
from tests.integration.learner.outside import Outside, count, eventually, make_label, tiny_settings
from tests.integration.learner.test_crash import environment
from tests.integration.learner.test_node import running
from tests.integration.learner.test_standby import elsewhere


@pytest.mark.timeout(240)
async def test_one_that_slept_through_its_replacement(
    kafka_settings: KafkaSettings,
    redis_settings: RedisSettings,
    tmp_path: Path,
    services: Services,
    faults: FaultReport,
) -> None:
    settings = tiny_settings(kafka_settings, redis_settings, tmp_path)
    own = environment(elsewhere(settings, tmp_path))
    async with Outside(settings) as outside, services.running("learner.app", own) as sleeper:
        await outside.send([make_label(n) for n in range(4)])
        await outside.until(lambda: len(outside.releases) == 1)
        sleeper.pause()
        # Labels wait for it, so that it has something to release when it wakes.
        await outside.send([make_label(n) for n in range(4, 12)])
        async with running(settings) as second:
            await eventually(lambda: second.why_not_ready() is None)
            await outside.until(lambda: outside.releases[-1].version.labels_learned == 12)
            sleeper.resume()
            await outside.send([make_label(n) for n in range(12, 20)])
            await outside.until(lambda: outside.releases[-1].version.labels_learned == 20)
            await asyncio.sleep(3 * settings.leadership.seconds)
            learned, leads = count(second, "labels_total", outcome="learned"), second.why_not_ready() is None
        running_still = sleeper.is_running
        announced = await asyncio.to_thread(outside.registry.releases)
    wrong = {
        "releases by the sleeper": sum(release.epoch == 1 for release in announced) - 1,
        "releases missing or made twice": len(announced) - 3,
        "labels learned twice or not at all": 16 - int(learned),
        "learners that ended": int(not leads) + int(not running_still),
    }
    method = (
        "SIGSTOP of the active learner, until the stand-by has released; then SIGCONT, with labels waiting for both; "
        "20 labels sent"
    )
    faults.labels("learner asleep", method, wrong, 20)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.timeout(240)
async def test_one_that_ends(  # noqa: PLR0917 - fixtures
    kafka_settings: KafkaSettings,
    redis_settings: RedisSettings,
    tmp_path: Path,
    services: Services,
    faults: FaultReport,
    how: signal.Signals,
) -> None:
    settings = tiny_settings(kafka_settings, redis_settings, tmp_path)
    own = environment(elsewhere(settings, tmp_path))
    async with Outside(settings) as outside, services.running("learner.app", own) as first:
        await outside.send([make_label(n) for n in range(4)])
        await outside.until(lambda: len(outside.releases) == 1)
        async with running(settings) as second:
            stood_by = second.why_not_ready() is not None
            await outside.send([make_label(n) for n in range(4, 12)])
            await outside.until(lambda: outside.releases[-1].version.labels_learned == 12)
            os.kill(first.pid, how)
            await eventually(lambda: second.why_not_ready() is None)
            await outside.send([make_label(n) for n in range(12, 20)])
            await outside.until(lambda: outside.releases[-1].version.labels_learned == 20)
            learned = count(second, "labels_total", outcome="learned")
        announced = await asyncio.to_thread(outside.registry.releases)
    wrong = {
        "learners active beside the first": int(not stood_by),
        "releases missing or made twice": len(announced) - 3,
        "labels learned twice or not at all": 8 - int(learned),
        "releases out of order": int([r.sequence for r in announced] != sorted(r.sequence for r in announced)),
    }
    method = f"{how.name} of the active learner; the stand-by has a folder of checkpoints of its own; 20 labels sent"
    faults.labels(f"learner stops and the stand-by takes over: {how.name}", method, wrong, 20)
