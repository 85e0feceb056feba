"""What a deterministic learner refuses; that it arrives at the same weights is among the faults."""

from dataclasses import replace
from pathlib import Path

import pytest

from learner.settings import TrainingSettings
from learner.term import TooManyPartitionsError
from schemas.settings import KafkaSettings, RedisSettings
from schemas.topics import LABELS
from stream.topics import ensure_topics
from tests.integration.learner.outside import tiny_settings
from tests.integration.learner.test_node import make_node


async def test_a_topic_of_several_partitions_is_refused(
    kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:

    await ensure_topics(kafka_settings, (replace(LABELS, partitions=2),))
    training = TrainingSettings(device="cpu", deterministic=True)
    settings = tiny_settings(kafka_settings, redis_settings, tmp_path, training=training)
    node = make_node(settings)
    with pytest.raises(ExceptionGroup) as caught:
        await node.run()
    assert caught.group_contains(TooManyPartitionsError, match="2 partitions")
