"""The network between services and broker cut, silent and slow: nothing is lost, nothing is done twice."""

import asyncio

import pytest

from tests.faults.conftest import by_way_of
from tests.faults.frames import FrameTrial
from tests.faults.labels import LabelTrial
from tests.faults.proxy import Proxy

PAST_THE_SESSION_S = 14.0
"""Longer than the group's session, so that the broker gives the partitions to somebody else."""


@pytest.fixture
def frames(frames: FrameTrial, network: Proxy) -> FrameTrial:
    kafka = by_way_of(frames.settings.kafka, network)
    frames.settings = frames.settings.model_copy(update={"kafka": kafka})
    return frames


@pytest.fixture
def labels(labels: LabelTrial, network: Proxy) -> LabelTrial:
    kafka = by_way_of(labels.settings.kafka, network)
    labels.settings = labels.settings.model_copy(update={"kafka": kafka})
    return labels


@pytest.mark.timeout(240)
async def test_inference_is_cut_off_again_and_again(frames: FrameTrial, network: Proxy) -> None:
    await frames.begin()
    async with frames.inference():
        for judged in (20, 60, 100):
            await frames.judged(judged)
            network.cut()
            await asyncio.sleep(1)
            network.mend()
        await frames.all_judged()
    await frames.conclude("network cut: inference", "three times all connections to the broker are reset for a second")


@pytest.mark.parametrize("seconds", [3.0, pytest.param(PAST_THE_SESSION_S, marks=pytest.mark.thorough)])
@pytest.mark.timeout(240)
async def test_no_packet_of_inference_arrives(frames: FrameTrial, network: Proxy, seconds: float) -> None:
    await frames.begin()
    async with frames.inference():
        await frames.judged(30)
        network.silence()
        await asyncio.sleep(seconds)
        network.mend()
        await frames.all_judged()
    method = f"packets to and from the broker vanish for {seconds:g} s, and no connection is closed"
    await frames.conclude(f"network silent: inference, {seconds:g} s", method)


@pytest.mark.thorough
@pytest.mark.timeout(240)
async def test_a_node_that_nobody_hears_is_replaced_and_comes_back(frames: FrameTrial, network: Proxy) -> None:
    await frames.begin(300)
    async with frames.inference():
        await frames.judged(30)
        network.silence()
        direct = frames.settings.model_copy(update={"kafka": frames.outside.kafka})
        behind, frames.settings = frames.settings, direct
        async with frames.inference():
            await frames.judged(200)
            frames.settings = behind
            network.mend()
            await frames.all_judged()
            await frames.stream(30, "weld-late", every_s=0)
            await frames.all_judged()
    method = "packets of one node vanish until another has judged its frames, then they arrive"
    await frames.conclude("network silent: one of two nodes", method)


@pytest.mark.thorough
@pytest.mark.timeout(240)
async def test_the_network_of_inference_is_slow(frames: FrameTrial, network: Proxy) -> None:
    await frames.begin()
    async with frames.inference():
        await frames.judged(20)
        network.latency_s, network.bytes_per_s = 0.05, 200_000
        await frames.all_judged()
    method = "50 ms each way and 200 kB/s a connection to the broker"
    await frames.conclude("network slow: inference", method)


@pytest.mark.thorough
@pytest.mark.timeout(240)
async def test_the_learner_is_cut_off_silenced_and_slowed(labels: LabelTrial, network: Proxy) -> None:
    async with labels.learner() as learner:
        await labels.begin()
        for turn in range(3):
            await labels.send(8)
            network.cut()
            await asyncio.sleep(1)
            network.mend()
            await labels.send(4)
            await labels.settled(learner, len(labels.sent) - 4 * (turn % 2))
        network.silence()
        await labels.send(8)
        await asyncio.sleep(3)
        network.mend()
        network.latency_s, network.bytes_per_s = 0.1, 200_000
        await labels.send(8)
        await labels.settled(learner)
        network.mend()
        method = "reset three times, silent for 3 s, then 100 ms each way and 200 kB/s a connection to the broker"
        await labels.conclude("network cut, silent and slow: learner", method, learner)
