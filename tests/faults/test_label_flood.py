"""Thousands of labels at once, poison among them: the learner stays bounded, and inference goes on judging."""

import asyncio
from dataclasses import replace

import psutil
import pytest

from learner.settings import CheckpointSettings, IntakeSettings, ReleaseSettings
from stream.records import OutRecord
from tests.faults.frames import FrameTrial
from tests.faults.labels import LabelTrial
from tests.faults.services import gauge
from tests.integration.learner.outside import make_label

POISON_EVERY = 50
ONE_POLL = 64
"""Records that the learner may still take in when it has noticed that enough labels wait."""
MIB = 1024 * 1024


async def flood(labels: LabelTrial, count: int) -> None:
    """Send labels as fast as the broker takes them; every so often one is poison."""
    made = [labels.outside.record(make_label(len(labels.sent) + n)) for n in range(count)]
    labels.sent += [f"label-{len(labels.sent) + n}" for n in range(count)]
    records: list[OutRecord] = []
    for number, record in enumerate(made, start=1):
        records.append(record)
        if number % POISON_EVERY == 0:
            records.append(replace(record, value=record.value[: len(record.value) // 2]))
            labels.letters += 1
    await asyncio.gather(*map(labels.outside.send_record, records))


@pytest.mark.parametrize("count", [200, pytest.param(4000, marks=pytest.mark.thorough)])
@pytest.mark.timeout(280)
async def test_a_flood_of_labels(labels: LabelTrial, frames: FrameTrial, count: int) -> None:
    labels.settings = labels.settings.model_copy(
        update={
            "release": ReleaseSettings(labels=1000, seconds=3600, rollback_window=10_000),
            "checkpoint": CheckpointSettings(folder=labels.settings.checkpoint.folder, every_labels=32),
        }
    )
    most = IntakeSettings().max_pending + ONE_POLL
    await frames.begin(0)
    async with frames.inference(), labels.learner() as learner:
        await labels.begin()
        process = psutil.Process(learner.pid)
        before, waiting, during = process.memory_info().rss, [], 0
        stream = asyncio.create_task(frames.stream(300, every_s=0.02))
        await flood(labels, count)
        while (learned := await asyncio.to_thread(gauge, learner, "weldstream_learner_labels_total")) < (
            len(labels.sent) + labels.letters
        ):
            waiting.append(await asyncio.to_thread(gauge, learner, "weldstream_learner_pending_labels"))
            during = len(frames.outside.judgements()) if learned else during
            assert learner.is_running, learner.log_tail()
            await asyncio.sleep(0.2)
        await stream
        await frames.all_judged()
        grown = (process.memory_info().rss - before) / MIB
        assert 0 < max(waiting) <= most
        assert during > 0
        method = (
            f"{count} labels at once, every {POISON_EVERY}. followed by half a one; at most {max(waiting):g} waited"
        )
        await labels.conclude(f"label flood: {count} labels", f"{method}, and memory grew by {grown:.0f} MiB", learner)
    method = f"{during} frames were judged before all was learned"
    await frames.conclude(f"inference during a label flood: {count} labels", method)
