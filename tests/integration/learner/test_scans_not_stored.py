"""A site that may not store images: labelled scans are in the learner's memory, and nowhere else that it writes."""

from pathlib import Path

import pytest

from learner.sample_sets import GOLDEN
from learner.settings import HoldoutSettings, LearnerSettings, MemorySettings
from learner.strategies.generative import BrainInspiredReplayConfig
from learner.strategies.replay import ReplayConfig
from memory.stores.redis import open_redis
from schemas.settings import KafkaSettings, RedisSettings
from tests.integration.learner.outside import Outside, count, eventually, make_label, tiny_settings
from tests.integration.learner.test_node import running


async def stored_samples(settings: LearnerSettings) -> set[str]:
    """Which memories have samples in Redis."""
    client = open_redis(settings.redis)
    keys = [key.decode() async for key in client.scan_iter(f"*{settings.redis.key_prefix}*:sample:*")]
    await client.aclose()
    return {name for name in ("memory", "validation") if any(f"{settings.redis.key_prefix}{name}" in k for k in keys)}


def has_golden(folder: Path) -> bool:
    return any(folder.rglob(f"{GOLDEN}.json"))


@pytest.mark.parametrize("store", ["process", "redis"])
async def test_scans_are_where_the_setting_says(
    store: str, kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    strategy = BrainInspiredReplayConfig() if store == "process" else ReplayConfig()
    settings = tiny_settings(
        kafka_settings,
        redis_settings,
        tmp_path,
        memory=MemorySettings.model_validate({"store": store}),
        strategy=strategy,
        holdout=HoldoutSettings(share=0.4, unit="label"),
    )
    async with Outside(settings) as outside:
        async with running(settings) as node:
            await outside.send([make_label(n) for n in range(12)])
            await outside.until(lambda: len(outside.releases) >= 1)
            await outside.send([make_label(n) for n in range(12, 40)])
            await eventually(lambda: node.books.progress.offsets() == {0: 40})
            await outside.until(lambda: len(outside.releases) >= 2)
        stored, golden = await stored_samples(settings), has_golden(tmp_path)
        learned = node.books.learned
        async with running(settings) as node:
            await eventually(lambda: node.why_not_ready() is None)
            assert node.books.learned == learned
            await outside.send([make_label(n) for n in range(40, 60)])
            await eventually(lambda: node.books.progress.offsets() == {0: 60})
            await outside.until(lambda: len(outside.releases) >= 3)
            assert count(node, "restarts_total", reason="start_over") == 0
    version = outside.releases[-1].version
    assert version.gate is not None
    judged = {c.evaluation_set for c in version.gate.comparisons}
    if store == "process":
        assert not stored
        assert not golden
        assert judged == {"newest"}
    else:
        assert stored == {"memory", "validation"}
        assert golden
        assert "golden" in judged
