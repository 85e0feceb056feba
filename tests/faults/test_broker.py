"""The broker killed under load: what it acknowledged is judged once."""

import asyncio

import pytest

from inference.settings import InferenceSettings
from schemas.topics import JUDGEMENTS
from stream.local.kafka import KafkaBroker
from tests.faults.load import FRAMES_SENT, acquire
from tests.faults.report import FaultReport
from tests.integration.inference.conftest import running
from tests.integration.inference.outside import Outside


@pytest.mark.parametrize("how", ["killed", pytest.param("stopped", marks=pytest.mark.thorough)])
@pytest.mark.timeout(240)
async def test_the_broker_goes_and_comes_back(
    settings: InferenceSettings, outside: Outside, kafka_broker: KafkaBroker, faults: FaultReport, how: str
) -> None:
    await outside.register(1)
    async with running(settings):
        acquisition = asyncio.create_task(acquire(outside))
        for judged in (30, 80):
            await outside.until(JUDGEMENTS, judged)
            await asyncio.to_thread(kafka_broker.kill if how == "killed" else kafka_broker.stop)
            await asyncio.to_thread(kafka_broker.start)
        await acquisition
        await outside.until(JUDGEMENTS, FRAMES_SENT)
    await outside.read_all()
    method = f"the only broker is {how} and started again twice under load"
    faults.frames(f"broker {how}", method, outside.published, outside.entries())
