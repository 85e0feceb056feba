"""What a step of each strategy costs beside a plain one, on the segmenter and on a small classifier.

Run ``python -m benchmarks.step_times [--rounds N] [--only mlp|unet] [--output FILE]``. All strategies of a network
take their steps in turn in one run, and the median of each is divided by that of fine-tuning.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from torch import nn

from benchmarks.figures import Figure, measured, print_table, write_results
from learner.losses import ClassLoss, LossConfig, SegmentationLoss
from learner.model import ModelConfig, build_model, used_parameters
from learner.strategies import Batch, LossFunction, StrategyConfig, make_strategy
from learner.strategies.a_gem import AGemConfig
from learner.strategies.der import DerConfig
from learner.strategies.ewc import EwcConfig, OnlineEwcConfig
from learner.strategies.fine_tuning import FineTuningConfig, NoRehearsal
from learner.strategies.gem import GemConfig
from learner.strategies.generative import BrainInspiredReplayConfig, GenerativeReplayConfig, MlpClassifier
from learner.strategies.gradients import GradientRows
from learner.strategies.lfl import LflConfig
from learner.strategies.lwf import LwfConfig
from learner.strategies.passes import Passes
from learner.strategies.replay import ReplayConfig
from learner.strategies.si import SiConfig

CLASSES, SIZE = 6, 128
PLAIN = "fine-tuning"

STRATEGIES: Mapping[str, StrategyConfig] = {
    PLAIN: FineTuningConfig(),
    "replay": ReplayConfig(),
    "DER++": DerConfig(),
    "A-GEM": AGemConfig(),
    "GEM": GemConfig(replay=False),
    "GEM, replay": GemConfig(),
    "GEM, replay, refreshed every 4 steps": GemConfig(refresh_every=4),
    "EWC": EwcConfig(),
    "online EWC": OnlineEwcConfig(),
    "SI": SiConfig(),
    "LwF": LwfConfig(),
    "LFL": LflConfig(),
    "generative replay": GenerativeReplayConfig(),
    "BI-R": BrainInspiredReplayConfig(),
}

PASSES = {"EWC": 1.2, "online EWC": 1.2, "SI": 1.2, "LwF": 1.5, "LFL": 1.5, "generative replay": 6.0}
"""Most that they may cost, in plain steps: penalties hardly anything on the parameters and a forward pass on the
outputs; a generator of whole images as much as several networks, one of features no more than stored samples do."""
ABOVE_SAMPLES = 1.1
"""Most that a strategy with a memory may cost above its share of samples."""
AVALANCHE_GEM = 5.1
"""GEM's step over a plain one in avalanche-lib 0.6.0: a U-Net on a ResNet-18, 8 new samples and 8 of each past task."""
AVALANCHE_FISHER = 17.0
"""Seconds that its EWC takes at the end of a task there."""
CONSOLIDATION = 32
"""Samples on which a domain is consolidated."""


def unet(past: int, each: int) -> tuple[Callable[[], nn.Module], LossFunction, Batch, dict[str, Batch]]:
    """Return what makes the default segmenter, its loss, 8 new samples, and some of each past domain."""

    def batch(n: int) -> Batch:
        targets = torch.randint(CLASSES, (n, SIZE, SIZE))
        return Batch(torch.randn(n, 1, SIZE, SIZE), targets, torch.randn(n, CLASSES, SIZE // 4, SIZE // 4))

    memory = {f"domain-{i}": batch(each) for i in range(past)}
    return lambda: build_model(ModelConfig(), CLASSES), SegmentationLoss(LossConfig()), batch(8), memory


def mlp(past: int, each: int) -> tuple[Callable[[], nn.Module], LossFunction, Batch, dict[str, Batch]]:
    """Return the same for a classifier of digits, 784-100-100-10, and 128 new samples."""

    def batch(n: int) -> Batch:
        return Batch(torch.randn(n, 784), torch.randint(10, (n,)), torch.randn(n, 10))

    def make() -> nn.Module:
        return MlpClassifier(784, 10, (100, 100)).eval()

    return make, ClassLoss(), batch(128), {f"task-{i}": batch(each) for i in range(past)}


def steppers(
    make: Callable[[], nn.Module], loss: LossFunction, new: Batch, memory: Mapping[str, Batch]
) -> dict[str, Callable[[], object]]:
    """Return what takes a step, for each strategy: in its second domain, so that penalties hold."""
    found: dict[str, Callable[[], object]] = {}
    for name, config in STRATEGIES.items():
        model = make()
        dense = new.targets.ndim > 1
        parameters = tuple(used_parameters(model, SIZE).values() if dense else model.parameters())
        optimizer = torch.optim.AdamW(parameters, lr=1e-5, fused=True)
        strategy = make_strategy(config, model, parameters, optimizer, loss)
        strategy.observe(new, {})  # a generator is made of what it is shown
        strategy.end_domain({"first": Batch(new.images[:4], new.targets[:4])})
        found[name] = lambda strategy=strategy: strategy.observe(new, memory)  # type: ignore[misc]
    return found


def plain_loop(make: Callable[[], nn.Module], loss: LossFunction, new: Batch) -> Callable[[], object]:
    """Return what takes a step without any strategy: forward, backward, optimiser."""
    model = make()
    dense = new.targets.ndim > 1
    parameters = tuple(used_parameters(model, SIZE).values() if dense else model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-5, fused=True)

    def step() -> float:
        optimizer.zero_grad()
        value = loss(model(new.images), new.targets).mean()
        torch.autograd.backward(value)
        optimizer.step()
        return float(value.detach())

    return step


def medians(steps: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median processor seconds of each step; all are taken in turn, after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds + 1):
        for name, step in steps.items():
            began = time.process_time()
            step()
            times[name].append(time.process_time() - began)
    return {name: statistics.median(taken[1:]) for name, taken in times.items()}


def network_figures(network: str, rounds: int) -> list[Figure]:
    """Measure every strategy on one network."""
    torch.manual_seed(0)
    past, each = (4, 2) if network == "U-Net" else (4, 32)
    make, loss, new, memory = (unet if network == "U-Net" else mlp)(past, each)
    steps = {"loop": plain_loop(make, loss, new), **steppers(make, loss, new, memory)}
    seconds = medians(steps, rounds)
    plain = seconds[PLAIN]
    method = (
        f"{len(new)} new samples and {each} of each of {past} past domains, all strategies in turn, "
        f"median processor time of one thread over {rounds}; a plain step took {1000 * plain:.1f} ms"
    )
    share = ABOVE_SAMPLES * (len(new) + past * each) / len(new)
    bare = measured(
        f"{network}: step of fine-tuning over a bare training loop", plain / seconds["loop"], "", method, at_most=1.3
    )
    figures = [bare]
    for name in STRATEGIES:
        if name != PLAIN:
            bar = PASSES.get(name, share) if network == "U-Net" else None
            figures.append(
                measured(f"{network}: step of {name}", seconds[name] / plain, "x plain", method, at_most=bar)
            )
    return figures


def fisher_figure() -> Figure:
    """Measure what EWC costs where a domain ends."""
    torch.manual_seed(0)
    make, loss, _, memory = unet(past=1, each=CONSOLIDATION)
    model = make()
    parameters = tuple(used_parameters(model, SIZE).values())
    strategy = make_strategy(EwcConfig(), model, parameters, torch.optim.SGD(parameters, lr=0.1), loss)
    began = time.process_time()
    strategy.end_domain(memory)
    return measured(
        "U-Net: Fisher information at the end of a domain",
        time.process_time() - began,
        "s",
        f"{CONSOLIDATION} samples of 128 x 128, exact, processor time of one thread",
        at_most=AVALANCHE_FISHER,
    )


def gem_figures(rounds: int) -> list[Figure]:
    """Measure GEM with as many samples of each past domain as Avalanche's figure has."""
    torch.manual_seed(0)
    make, loss, new, memory = unet(past=4, each=8)
    chosen = (PLAIN, "GEM", "GEM, replay", "GEM, replay, refreshed every 4 steps")
    steps = {name: step for name, step in steppers(make, loss, new, memory).items() if name in chosen}
    seconds = medians(steps, rounds)
    method = f"8 new samples and 8 of each of 4 past domains, in turn, median processor time of {rounds}"
    return [
        measured(
            f"U-Net: step of {name}, 8 samples a domain",
            seconds[name] / seconds[PLAIN],
            "x plain",
            method,
            at_most=AVALANCHE_GEM / 2 if "refreshed" in name else ABOVE_SAMPLES * 5,
        )
        for name in chosen[1:]
    ]


def grouping_figures(rounds: int) -> list[Figure]:
    """Measure one pass over all groups beside a pass for each, on the classifier with 19 past tasks."""
    torch.manual_seed(0)
    make, loss, new, memory = mlp(past=19, each=10)
    steps: dict[str, Callable[[], object]] = {}
    for groupable in (True, False):
        model = make()
        rows = GradientRows(tuple(model.parameters()))
        passes = Passes(model, loss, NoRehearsal(), (), rows, groupable=groupable)
        steps[str(groupable)] = partial(passes.apart, new, memory, one_constraint=False, share=1.0)
    seconds = medians(steps, rounds)
    method = f"128 new samples and 10 of each of 19 past tasks, in turn, median processor time of {rounds}"
    return [
        measured(
            "MLP: gradients of 20 groups in one pass over those in a pass for each",
            seconds["True"] / seconds["False"],
            "",
            method,
            at_most=0.7,
        )
    ]


def step_times(rounds: int, networks: tuple[str, ...] = ("mlp", "unet")) -> list[Figure]:
    """Return all figures, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        figures: list[Figure] = []
        if "mlp" in networks:
            figures += network_figures("MLP", 20 * rounds) + grouping_figures(20 * rounds)
        if "unet" in networks:
            figures += network_figures("U-Net", rounds) + gem_figures(max(1, rounds // 2)) + [fisher_figure()]
    finally:
        torch.set_num_threads(threads)
    return figures


def main() -> int:
    """Measure and print; end with 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="steps of each strategy on the U-Net")
    parser.add_argument("--only", choices=["mlp", "unet"])
    parser.add_argument("--output", type=Path)
    chosen = parser.parse_args()
    figures = step_times(chosen.rounds, (chosen.only,) if chosen.only else ("mlp", "unet"))
    print_table(figures, Console())
    if chosen.output:
        write_results(figures, chosen.output)
    return 1 if any(not figure.passed for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
