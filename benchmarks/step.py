"""What a step of the learner costs, and what drawing its samples adds."""

import statistics
import time

import numpy as np
import torch

from benchmarks.figures import Figure, measured
from benchmarks.memory import DRAWN, seconds_per_draw
from benchmarks.rig import frames
from benchmarks.strategies import gem_over_replay
from learner.settings import LearnerSettings
from learner.trainers import make_trainer
from memory.samples import Sample

STEPS = 5


def gem_cost() -> list[Figure]:
    """Compare a step of GEM with one of replay."""
    method = "8 new samples and 2 of each of four past domains, 128 x 128, the default network, one thread, in turns"
    return [measured("GEM step over replay step, four past domains", gem_over_replay(), "", method, at_most=1.5)]


async def draw_cost(redis_url: str) -> list[Figure]:
    """Compare drawing 32 samples with a training step on 32 samples."""
    draw = await seconds_per_draw(redis_url)
    step = seconds_per_step(DRAWN)
    method = (
        f"median draw of {DRAWN} samples of 256 x 256 with masks, {1000 * draw:.1f} ms, over the median step of the "
        f"default learner on {DRAWN} samples, {1000 * step:.0f} ms on one thread"
    )
    return [measured("drawing from Redis over a training step", draw / step, "", method, at_most=0.05)]


def seconds_per_step(samples: int) -> float:
    """Return the median seconds of an online step on new samples, one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        trainer = make_trainer(LearnerSettings())
        batch = [
            Sample(s.frame.frame_id, s.frame.domain, s.frame.weld_id, s.pixels, np.asarray(s.mask, np.uint8))
            for s in frames(samples, "step")
        ]
        seconds = []
        for _ in range(STEPS + 1):
            began = time.perf_counter()
            trainer.step(batch, {})
            seconds.append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(threads)
    return statistics.median(seconds[1:])
