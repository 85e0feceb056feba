"""The broker goes and comes back while frames are on the way."""

import asyncio

from inference.settings import InferenceSettings
from schemas.topics import JUDGEMENTS
from stream.local.kafka import KafkaBroker
from tests.integration.inference.conftest import running
from tests.integration.inference.outside import Outside


async def test_a_broker_restart_loses_nothing(
    settings: InferenceSettings, outside: Outside, kafka_broker: KafkaBroker
) -> None:
    await outside.release(1)

    async def acquire() -> None:
        for number in range(120):
            await outside.publish(number, f"weld-{number % 5}")
            await asyncio.sleep(0.01)

    async with running(settings):
        acquisition = asyncio.create_task(acquire())
        await outside.until(JUDGEMENTS, 30)
        await asyncio.to_thread(kafka_broker.stop)
        await asyncio.to_thread(kafka_broker.start)
        await acquisition
        await outside.until(JUDGEMENTS, 120)
    assert {judgement.frame_id for judgement in outside.judgements()} == set(outside.published)
