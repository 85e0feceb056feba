"""Two learners of one model: one leads, the other takes over, and one that slept cannot release."""

from pathlib import Path

from redis.asyncio import Redis

from learner.leadership import leader_key
from learner.settings import CheckpointSettings, LearnerSettings
from schemas.settings import KafkaSettings, RedisSettings
from tests.integration.learner.outside import Outside, count, eventually, make_label, tiny_settings
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
