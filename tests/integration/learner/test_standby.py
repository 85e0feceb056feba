"""Two learners of one model: one leads, the other takes over, and one that slept cannot release."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from redis.asyncio import Redis

from learner.leadership import leader_key
from learner.settings import CheckpointSettings, LearnerSettings
from schemas.settings import KafkaSettings, RedisSettings
from tests.integration.learner.outside import Outside, count, eventually, make_label, tiny_settings
from tests.integration.learner.test_crash import ROOT, environment
from tests.integration.learner.test_node import running


def elsewhere(settings: LearnerSettings, folder: Path) -> LearnerSettings:
    """Return the settings of a stand-by that shares Kafka, Redis and the registry, but no folder of checkpoints."""
    own = CheckpointSettings(folder=folder / "other", every_labels=settings.checkpoint.every_labels)
    return settings.model_copy(update={"checkpoint": own})


async def test_one_leads_and_the_other_takes_over_when_it_stops(
    kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    settings = tiny_settings(kafka_settings, redis_settings, tmp_path)
    async with Outside(settings) as outside, running(settings) as first:
        await outside.send([make_label(n) for n in range(4)])
        await outside.until(lambda: len(outside.releases) == 1)
        async with running(elsewhere(settings, tmp_path)) as second:
            await outside.send([make_label(n) for n in range(4, 12)])
            await outside.until(lambda: len(outside.releases) == 2)
            assert second.why_not_ready() == "another learner leads"
            assert count(second, "labels_total", outcome="learned") == 0
            assert count(first, "leads") == 1
            first.stop()
            await eventually(lambda: second.why_not_ready() is None)
            # It knows no checkpoint, so it goes on from what was released.
            assert second.books.in_model == 12
            await outside.send([make_label(n) for n in range(12, 20)])
            await outside.until(lambda: outside.releases[-1].version.labels_learned == 20)
            assert count(second, "labels_total", outcome="learned") == 8
            assert count(second, "labels_total", outcome="duplicate") == 0
    assert [r.epoch for r in outside.releases][-1] == 2
    sequences = [r.sequence for r in outside.releases]
    assert sequences == sorted(sequences)


@pytest.mark.timeout(180)
async def test_a_learner_that_slept_through_its_replacement_cannot_release_and_stands_by(
    kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    settings = tiny_settings(kafka_settings, redis_settings, tmp_path)
    async with Outside(settings) as outside:
        sleeper = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "learner.app", cwd=ROOT, env=environment(elsewhere(settings, tmp_path))
        )
        try:
            await outside.send([make_label(n) for n in range(4)])
            await outside.until(lambda: len(outside.releases) == 1)
            # Labels wait for it, so that it has something to release when it wakes.
            sleeper.send_signal(signal.SIGSTOP)
            await outside.send([make_label(n) for n in range(4, 12)])
            async with running(settings) as second:
                await eventually(lambda: second.why_not_ready() is None)
                await outside.until(lambda: outside.releases[-1].version.labels_learned == 12)
                sleeper.send_signal(signal.SIGCONT)
                await outside.send([make_label(n) for n in range(12, 20)])
                await outside.until(lambda: outside.releases[-1].version.labels_learned == 20)
                assert second.why_not_ready() is None
                assert count(second, "labels_total", outcome="learned") == 16
                await asyncio.sleep(3 * settings.leadership.seconds)
                assert sleeper.returncode is None
        finally:
            os.kill(sleeper.pid, signal.SIGCONT)
            sleeper.kill()
            await sleeper.wait()
        announced = await asyncio.to_thread(outside.registry.releases)
    learned = [(r.epoch, r.version.labels_learned) for r in announced]
    assert learned[0] == (1, 4)
    assert {epoch for epoch, _ in learned[1:]} == {2}
    assert [labels for _, labels in learned] == [4, 12, 20]


async def test_a_lost_lock_begins_a_new_term_in_which_nothing_is_learned_twice(
    kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    """As after a Redis that lost its last second; nobody else has come."""
    settings = tiny_settings(kafka_settings, redis_settings, tmp_path)
    async with Outside(settings) as outside, running(settings) as node:
        await outside.send([make_label(n) for n in range(4)])
        await outside.until(lambda: len(outside.releases) == 1)
        client: Redis = Redis.from_url(settings.redis.url.get_secret_value())
        assert await client.delete(leader_key(settings.redis.key_prefix)) == 1
        await client.aclose()
        await eventually(lambda: count(node, "restarts_total", reason="leadership_lost") == 1)
        await eventually(lambda: node.why_not_ready() is None)
        await outside.send([make_label(n) for n in range(4, 12)])
        await outside.until(lambda: outside.releases[-1].version.labels_learned == 12)
        assert node.books.learned == 12
        assert count(node, "labels_total", outcome="learned") == 12
    assert outside.releases[-1].epoch == 2
