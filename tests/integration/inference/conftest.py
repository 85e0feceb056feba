"""The node on the real broker, with everything that outsiders do to it."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from inference.node import InferenceNode
from inference.settings import InferenceSettings
from schemas.settings import HttpSettings, KafkaSettings
from tests.integration.inference.outside import Outside
from tests.keys import signed_registry


@pytest.fixture
def settings(kafka_settings: KafkaSettings, tmp_path: Path) -> InferenceSettings:
    return InferenceSettings(
        kafka=kafka_settings,
        registry=signed_registry(tmp_path),
        http=HttpSettings(port=0),
        serving={"group_id": f"{kafka_settings.topic_prefix}group", "warmup_rows": 48, "warmup_columns": 64},
        flagging={"audit_rate": 0, "min_uncertainty": 1},
    )


@pytest.fixture
async def outside(settings: InferenceSettings, tmp_path: Path) -> AsyncIterator[Outside]:
    async with Outside(settings, tmp_path / "cache") as outside:
        yield outside


@asynccontextmanager
async def running(settings: InferenceSettings) -> AsyncIterator[InferenceNode]:
    """A node that is stopped in order at the end."""
    node = InferenceNode(settings, CollectorRegistry(), random.Random(0), lambda: datetime.now(UTC))
    task = asyncio.create_task(node.run())
    try:
        yield node
        node.stop()
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
