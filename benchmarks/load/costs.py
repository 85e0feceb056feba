"""What one frame, one label and one sample cost: the inputs of the sizes on paper."""

import asyncio
import uuid
from pathlib import Path

import numpy as np
from redis.asyncio import Redis

from benchmarks.figures import Figure, measured
from benchmarks.load.bench import Bench
from benchmarks.load.overload import Spent
from benchmarks.load.processes import folder_bytes
from benchmarks.memory import SIDE
from benchmarks.rig import frames
from benchmarks.sizing import Cost
from benchmarks.step import seconds_per_step
from memory.admission import chance_of
from memory.samples import Sample
from memory.stores.base import Capacity
from memory.stores.redis import RedisStore
from schemas.topics import FRAMES, JUDGEMENTS, REVIEW_REQUESTS

STEP_SAMPLES = 16
STORED = 128


async def costs(bench: Bench, sent: int, spent: Spent) -> list[Figure]:
    """Measure the costs on a bench whose overload is over.

    Parameters
    ----------
    bench : Bench
        After the overload.
    sent : int
        Frames that were sent to it.
    spent : Spent
        Processor time.
    """
    bench.say("what a frame, a label and a sample cost")
    data = bench.rig.stack.kafka.folder / "data"
    requests = bench.books.records[REVIEW_REQUESTS.name]
    disk = {topic.name: _topic_bytes(bench, data, topic.name) for topic in (FRAMES, JUDGEMENTS, REVIEW_REQUESTS)}
    rest = folder_bytes(data, "*") - sum(disk.values())
    on_disk = f"segments on the broker's disk after {sent} simulated frames of 256 x 256, PNG, uncompressed topics"
    step = await asyncio.to_thread(seconds_per_step, STEP_SAMPLES)
    return [
        measured(Cost.INFERENCE, 1000 * spent.inference, "ms", "processor time of one process with a backlog, pinned"),
        measured(
            Cost.BROKER,
            1000 * spent.broker,
            "ms",
            "processor time of the broker from the overload's begin until no lag, over frames sent meanwhile; "
            "one replica, one reader of each topic",
        ),
        measured(Cost.FRAME, disk[FRAMES.name] / sent, "bytes", on_disk),
        measured(Cost.JUDGEMENT, disk[JUDGEMENTS.name] / len(bench.books.lines), "bytes", on_disk),
        measured(Cost.REQUEST, disk[REVIEW_REQUESTS.name] / max(1, requests), "bytes", on_disk),
        measured(Cost.REST, rest / sent, "bytes", f"{on_disk}; all other topics, before they are compacted"),
        measured(Cost.ASKED, requests / sent, "", f"{requests} review requests for {sent} simulated frames"),
        measured(
            Cost.SAMPLE,
            await bytes_per_sample(bench.rig.stack.redis.url),
            "bytes",
            f"Redis's used memory over {STORED} samples of {SIDE} x {SIDE} uint8 with masks",
        ),
        measured(
            Cost.STEP,
            1000 * step / STEP_SAMPLES,
            "ms",
            f"median online step of the default learner on {STEP_SAMPLES} samples, one thread, by samples",
        ),
    ]


async def bytes_per_sample(redis_url: str) -> float:
    """Return what a sample takes of Redis's memory."""
    scans = list(frames(STORED, "redis"))
    async with Redis.from_url(redis_url) as redis:
        store = RedisStore(redis, f"bench-{uuid.uuid4().hex}:")
        before = (await redis.info("memory"))["used_memory"]
        for scan in scans:
            sample = Sample(
                scan.frame.frame_id, scan.frame.domain, scan.frame.weld_id, scan.pixels, np.asarray(scan.mask, np.uint8)
            )
            await store.admit(sample, Capacity(STORED, 1 << 30), chance_of(0, sample.label_id))
        after = (await redis.info("memory"))["used_memory"]
        await store.clear()
    return float(after - before) / STORED


def _topic_bytes(bench: Bench, data: Path, name: str) -> int:
    return folder_bytes(data, f"{bench.rig.kafka.topic_prefix}{name}-*")
