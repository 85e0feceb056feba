"""A loss that is not finite: the batch is set aside, and learning goes on from the last checkpoint."""

import asyncio
from pathlib import Path

import pytest

from learner.service import RepeatedDivergenceError
from learner.settings import TrainingSettings
from schemas.settings import KafkaSettings, RedisSettings
from tests.integration.learner.outside import Outside, make_label, tiny_settings
from tests.integration.learner.test_crash import checkpoint
from tests.integration.learner.test_node import make_node


async def test_a_rate_at_which_everything_diverges_ends_the_process_and_loses_nothing(
    kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    settings = tiny_settings(
        kafka_settings,
        redis_settings,
        tmp_path,
        training=TrainingSettings(labels_per_step=2, batch_size=4, idle_steps_per_label=0, device="cpu"),
    )
    settings = settings.model_copy(
        update={"trainer": settings.trainer.model_copy(update={"learning_rate": 1e30, "warmup_steps": 1})}
    )
    async with Outside(settings) as outside:
        await outside.send([make_label(n) for n in range(4)])
        node = make_node(settings)
        ending = asyncio.create_task(node.run())
        await outside.until(lambda: len(outside.releases) == 1)
        await outside.send([make_label(n) for n in range(4, 24)])
        with pytest.raises(ExceptionGroup) as caught:
            await ending
        await outside.until(lambda: len(outside.letters) >= 4)
    assert caught.group_contains(RepeatedDivergenceError, match="learning_rate")
    found = checkpoint(settings)
    aside = {(letter.partition, letter.offset) for letter in outside.letters}
    assert aside == {(0, int(place.partition(":")[2])) for place in found.extra["struck"]}
    assert min(found.position.offsets.values()) <= min(o for _, o in aside)
