"""The learner vouches only for what it made or verified; its announcements are verified at the end of every test."""

import asyncio
import json
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from learner.node import LearnerNode
from learner.settings import LearnerSettings
from memory.key_files import KeyFileError
from memory.registry import RegistryError
from memory.signing import BadSignatureError, UnsignedError
from schemas.settings import KafkaSettings, RedisSettings
from tests.integration.learner.outside import Outside, make_label, tiny_settings
from tests.integration.learner.test_node import running


def without_key(settings: LearnerSettings) -> LearnerSettings:
    keyless = settings.registry.model_copy(update={"signing_key": None})
    return settings.model_copy(update={"registry": keyless})


def newest(settings: LearnerSettings, folder: str) -> Path:
    return max((Path(settings.registry.uri) / "models" / "weld" / folder).glob("*.json"))


async def failure(settings: LearnerSettings) -> BaseException:
    """Start a learner and return why it ends."""
    node = LearnerNode(settings, CollectorRegistry(), random.Random(0), lambda: datetime.now(UTC))
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(60):
            await node.run()
    found: BaseException = caught.value
    while isinstance(found, BaseExceptionGroup):
        (found,) = found.exceptions
    return found


async def test_a_learner_neither_goes_on_from_nor_announces_what_was_tampered_with(
    kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    settings = tiny_settings(kafka_settings, redis_settings, tmp_path)
    async with Outside(settings) as outside:
        async with running(settings):
            await outside.send([make_label(n) for n in range(4)])
            await outside.until(lambda: len(outside.releases) == 1)
        path = newest(settings, "releases")
        right = path.read_text()
        fields = json.loads(right)
        attacks: dict[str, type[Exception]] = {
            json.dumps(fields | {"reason": "trust me"}): BadSignatureError,
            json.dumps(fields | {"signature": None}): UnsignedError,
            json.dumps(fields | {"sequence": 9}): RegistryError,
        }
        for attack, error in attacks.items():
            path.write_text(attack)
            assert type(await failure(settings)) is error
        assert len(outside.releases) == 1
        path.write_text(right)
        async with running(settings):
            await outside.until(lambda: len(outside.releases) == 2)  # announced once more at its start


async def test_a_learner_without_a_key_does_not_start(
    kafka_settings: KafkaSettings, redis_settings: RedisSettings, tmp_path: Path
) -> None:
    settings = without_key(tiny_settings(kafka_settings, redis_settings, tmp_path))
    with pytest.raises(KeyFileError, match="WELDSTREAM_REGISTRY__SIGNING_KEY"):
        async with running(settings):
            pass
