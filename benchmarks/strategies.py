"""What a projected step costs beside plain replay."""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from learner.losses import LossConfig, SegmentationLoss
from learner.model import ModelConfig, build_model, used_parameters
from learner.strategies import Batch, StrategyConfig, make_strategy
from learner.strategies.gem import GemConfig
from learner.strategies.replay import ReplayConfig

CLASSES = 6
SIZE = 128
NEW, PAST, EACH = 8, 4, 2


def gem_over_replay(rounds: int = 9) -> float:
    """Return the time of a GEM step over that of a replay step, on the same samples.

    Eight new samples and two of each of four past domains, 128 x 128, the
    default network, one thread; the two kinds of step alternate, and the
    median over the rounds is taken of each.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        steps = [_stepper(GemConfig()), _stepper(ReplayConfig())]
        times: list[list[float]] = [[], []]
        for _ in range(rounds + 1):
            for step, taken in zip(steps, times, strict=True):
                start = time.perf_counter()
                step()
                taken.append(time.perf_counter() - start)
        gem, replay = (statistics.median(taken[1:]) for taken in times)
    finally:
        torch.set_num_threads(threads)
    return gem / replay


def _stepper(config: StrategyConfig) -> Callable[[], object]:
    model = build_model(ModelConfig(), CLASSES)
    parameters = tuple(used_parameters(model, SIZE).values())
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    strategy = make_strategy(config, model, parameters, optimizer, SegmentationLoss(LossConfig()))
    rng = np.random.default_rng(0)

    def batch(n: int) -> Batch:
        images = torch.from_numpy(rng.standard_normal((n, 1, SIZE, SIZE), dtype=np.float32))
        return Batch(images, torch.from_numpy(rng.integers(CLASSES, size=(n, SIZE, SIZE))))

    new, memory = batch(NEW), {f"domain-{i}": batch(EACH) for i in range(PAST)}
    return lambda: strategy.observe(new, memory)


if __name__ == "__main__":
    print(f"GEM step / replay step: {gem_over_replay():.2f}")
