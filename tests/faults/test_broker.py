"""The broker killed, stopped, or without room on its disk: what it acknowledged is judged once."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.settings import KafkaSettings
from stream.local.kafka import KafkaBroker
from stream.local.ports import free_port
from stream.local.reaper import Reaper
from tests.faults.disk import SmallDisk, small_disk
from tests.faults.frames import FrameTrial


@pytest.mark.parametrize("how", ["killed", "stopped"])
@pytest.mark.thorough  # tests/integration/inference/test_broker_restart.py says the same in less time
@pytest.mark.timeout(240)
async def test_the_broker_goes_and_comes_back(frames: FrameTrial, kafka_broker: KafkaBroker, how: str) -> None:
    await frames.begin()
    async with frames.inference():
        for judged in (30, 80):
            await frames.judged(judged)
            await asyncio.to_thread(kafka_broker.kill if how == "killed" else kafka_broker.stop)
            await asyncio.to_thread(kafka_broker.start)
        await frames.all_judged()
    await frames.conclude(f"broker {how}", f"the only broker is {how} and started again twice under load")


class TestSmallDisk:
    """A broker whose disk holds a few megabytes."""

    @pytest.fixture
    def disk(self, tmp_path: Path) -> Iterator[SmallDisk]:
        with small_disk(tmp_path / "small" / "data", mib=32) as disk:
            yield disk

    @pytest.fixture
    def broker(self, disk: SmallDisk, java_and_jars: tuple[Path, Path], reaper: Reaper) -> Iterator[KafkaBroker]:
        java, jars = java_and_jars
        port = free_port()
        controller_port = free_port(exclude=frozenset({port}))
        # Its data lies on the disk, its log and configuration do not.
        broker = KafkaBroker(
            disk.folder.parent, java=java, jars=jars, port=port, controller_port=controller_port, reaper=reaper
        )
        broker.prepare()
        broker.start()
        yield broker
        broker.kill()

    @pytest.fixture
    def kafka_settings(self, broker: KafkaBroker) -> KafkaSettings:
        return KafkaSettings(bootstrap_servers=broker.bootstrap_servers, topic_prefix="test.")

    @pytest.mark.timeout(240)
    async def test_the_disk_is_full(self, frames: FrameTrial, broker: KafkaBroker, disk: SmallDisk) -> None:
        await frames.begin()
        async with frames.inference():
            await frames.judged(40)
            await asyncio.to_thread(disk.fill)
            await asyncio.to_thread(broker.wait, 60)
            disk.make_space()
            await asyncio.to_thread(broker.start)
            await frames.all_judged()
        method = "the broker's disk is filled under load, upon which it ends; it is started again with room"
        await frames.conclude("broker's disk full", method)
