"""A deterministic learner is killed again and again, and ends with the weights of one that ran through."""

import hashlib
import signal
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save

from learner.settings import HoldoutSettings, LearnerSettings, MemorySettings, TrainingSettings
from learner.strategies import StrategyConfig
from learner.strategies.der import DerConfig
from learner.strategies.gem import GemConfig
from schemas.labels import LabelledFrame
from schemas.settings import KafkaSettings, RedisSettings
from stream.codec import encode_raster
from tests.faults.report import FaultReport
from tests.faults.services import Services, ended
from tests.integration.learner.outside import Outside, eventually, make_label, tiny_settings
from tests.integration.learner.test_crash import checkpoint, environment
from tests.integration.learner.test_node import running

DETERMINISTIC = TrainingSettings(
    labels_per_step=3, batch_size=4, replay_per_domain=2, idle_steps_per_label=0.5, device="cpu", deterministic=True
)
PLACES = ("admitted:6", "recorded:1", "learned:2", "admitted:4", "announced:1", "checkpointed:3")


def settings_in(kafka: KafkaSettings, redis: RedisSettings, folder: Path, strategy: StrategyConfig) -> LearnerSettings:
    return tiny_settings(
        kafka,
        redis,
        folder,
        training=DETERMINISTIC,
        strategy=strategy,
        holdout=HoldoutSettings(share=0.2, unit="label"),
        # Small enough that admissions evict.
        memory=MemorySettings(samples=12, validation_samples=6),
    )


def labels() -> list[LabelledFrame]:
    """Labels of two domains that alternate, one that comes twice, and one that is a dead letter."""
    made = [make_label(n, weld=f"weld-{n // 4}", domain=f"domain-{n // 7 % 2}") for n in range(40)]
    made[20] = make_label(20, mask=encode_raster(np.zeros((8, 8), np.uint8)))
    return [*made[:10], made[3], *made[10:]]


def digest(settings: LearnerSettings) -> str:
    """Return the sha256 of all that the next step depends on: weights, average, moments and random states."""
    found = checkpoint(settings)
    data = save({name: tensor.contiguous() for name, tensor in found.state.tensors.items()})
    return hashlib.sha256(data + repr(found.state.values).encode()).hexdigest()


async def run_through(kafka: KafkaSettings, redis: RedisSettings, folder: Path, strategy: StrategyConfig) -> str:
    apart = kafka.model_copy(update={"topic_prefix": f"{kafka.topic_prefix}through."})
    settings = settings_in(apart, redis, folder, strategy)
    async with Outside(settings) as outside, running(settings) as node:
        await outside.send(labels())
        await eventually(lambda: node.books.progress.positions() == {0: len(labels())})
    return digest(settings)


@pytest.mark.parametrize("strategy", [GemConfig(), DerConfig()], ids=lambda config: config.kind)
@pytest.mark.timeout(300)
async def test_killed_again_and_again(
    kafka_settings: KafkaSettings,
    redis_settings: RedisSettings,
    tmp_path: Path,
    *,
    services: Services,
    faults: FaultReport,
    strategy: StrategyConfig,
) -> None:
    apart = redis_settings.model_copy(update={"key_prefix": f"{redis_settings.key_prefix}through:"})
    expected = await run_through(kafka_settings, apart, tmp_path / "through", strategy)
    settings = settings_in(kafka_settings, redis_settings, tmp_path / "killed", strategy)
    killed = 0
    async with Outside(settings) as outside:
        await outside.send(labels())
        for where in PLACES:
            crash = {"WELDSTREAM_CRASH_AT": where}
            async with services.running("learner.app", environment(settings) | crash) as learner:
                killed += await ended(learner) == -signal.SIGKILL
        async with running(settings) as node:
            await eventually(lambda: node.books.progress.positions() == {0: len(labels())})
    wrong = {
        "places where it was not killed": len(PLACES) - killed,
        "digests that differ": int(digest(settings) != expected),
        "labels that are not in the weights": int(checkpoint(settings).position.labels_learned <= 20),
    }
    method = (
        f"SIGKILL at {', '.join(PLACES)}, one after the other; sha256 of weights, average, moments, random states and "
        f"stored logits against a learner that ran through; {len(labels())} labels of two domains, some held out, "
        "repeated or bad"
    )
    faults.labels(f"deterministic learner killed: {strategy.kind}", method, wrong, len(labels()))
