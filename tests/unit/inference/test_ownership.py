import gc
import time

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import TopicPartition

from inference.ownership import Ownership
from inference.welds import WeldBook
from schemas.settings import KafkaSettings


async def test_a_producer_that_cannot_start_is_not_left_open(caplog: pytest.LogCaptureFixture) -> None:
    async def committed(partition: TopicPartition) -> int | None:
        return None

    async def revive(book: WeldBook) -> None:
        return None

    nobody = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    ownership = Ownership(nobody, "g", "states", committed=committed, revive=revive, monotonic=time.monotonic)
    with pytest.raises(KafkaConnectionError):
        await ownership.producer(TopicPartition("frames", 0))
    gc.collect()
    assert not [record for record in caplog.records if "Unclosed" in record.message]
