import asyncio
from collections.abc import Collection

from aiokafka.structs import TopicPartition
from prometheus_client import CollectorRegistry

from inference.metrics import InferenceMetrics
from inference.partitions import Partitions

OURS = {TopicPartition("frames", 0)}


def make(limit: int = 4, released: list[TopicPartition] | None = None) -> Partitions:
    async def release(partitions: Collection[TopicPartition]) -> None:
        if released is not None:
            released.extend(partitions)

    return Partitions(InferenceMetrics(CollectorRegistry()), limit, release)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_room_needs_an_assignment_and_is_bounded() -> None:
    partitions = make(4)
    waiting = asyncio.create_task(partitions.room())
    await settle()
    assert not waiting.done()
    await partitions.on_partitions_assigned(OURS)
    assert await waiting == 4
    partitions.add(4)
    waiting = asyncio.create_task(partitions.room())
    await settle()
    assert not waiting.done()
    await partitions.remove(3)
    assert await waiting == 3


async def test_a_revocation_waits_for_what_is_on_the_way() -> None:
    partitions = make()
    await partitions.on_partitions_assigned(OURS)
    partitions.add(2)
    revoking = asyncio.create_task(partitions.on_partitions_revoked(OURS))
    await settle()
    assert not partitions.assigned
    await partitions.remove(1)
    await settle()
    assert not revoking.done()
    await partitions.remove(1)
    await revoking


async def test_nobody_waits_once_it_is_closed() -> None:
    partitions = make()
    waiting = asyncio.create_task(partitions.room())
    await settle()
    await partitions.close()
    assert await waiting == 0


async def test_abandoned_frames_hold_no_revocation() -> None:
    partitions = make()
    partitions.add(2)
    revoking = asyncio.create_task(partitions.on_partitions_revoked(OURS))
    await settle()
    await partitions.abandon()
    await revoking
    assert partitions.in_flight == 0


async def test_a_partition_is_released_when_its_frames_are_committed() -> None:
    released: list[TopicPartition] = []
    partitions = make(released=released)
    await partitions.on_partitions_assigned(OURS)
    partitions.add(2)
    revoking = asyncio.create_task(partitions.on_partitions_revoked(OURS))
    await settle()
    assert released == []
    await partitions.remove(2)
    await revoking
    assert released == list(OURS)


async def test_a_pause_begins_when_the_last_frame_on_the_way_is_committed() -> None:
    partitions = make()
    partitions.add(2)
    pausing = asyncio.create_task(partitions.pause(60))
    await settle()
    await partitions.remove(1)
    await settle()
    assert not pausing.done()
    await partitions.remove(1)
    await asyncio.wait_for(pausing, 5)


async def test_a_pause_that_lasts_already_is_too_late_and_nobody_waits_for_the_next_for_ever() -> None:
    partitions = make()
    pausing = asyncio.create_task(partitions.pause(0.05))
    await settle()
    assert not pausing.done()
    await asyncio.wait_for(pausing, 5)
