"""What a step costs on the U-Net, beside Avalanche's."""

import tempfile
from pathlib import Path

import torch

from benchmarks.figures import Figure, measured
from benchmarks.learning.methods import avalanche, method
from learner.lab.jobs import run_jobs
from learner.lab.networks import SegmenterConfig
from learner.lab.settings import EvaluationConfig, Job, Method, OptimizerConfig, Schedule
from learner.lab.spreading import Workers
from learner.lab.streams import SimulatorConfig

SGD = OptimizerConfig(learning_rate=0.01)
BATCH, EACH, DOMAINS = 8, 8, 4
ALL, STALE = EACH * DOMAINS, 4
_GEM, _OTHERS = 0.5, 1.0

PAIRS: tuple[tuple[Method, Method], ...] = (
    (method("fine-tuning", "fine_tuning", SGD), avalanche("Naive", "Naive", SGD)),
    (method("replay", "replay", SGD, samples=32, draw=BATCH), avalanche("Replay", "Replay", SGD, mem_size=32)),
    (
        method("GEM", "gem", SGD, samples=ALL, replay=False),
        avalanche("GEM", "GEM", SGD, patterns_per_exp=EACH, memory_strength=0.5),
    ),
    (
        method(f"GEM, gradients used for {STALE} steps", "gem", SGD, samples=ALL, replay=False, refresh_every=STALE),
        avalanche("GEM", "GEM", SGD, patterns_per_exp=EACH, memory_strength=0.5),
    ),
    (
        method("A-GEM", "a_gem", SGD, samples=ALL, draw=EACH, replay=False),
        avalanche("AGEM", "AGEM", SGD, patterns_per_exp=EACH, sample_size=EACH),
    ),
    (method("EWC", "ewc", SGD, weight=0.01), avalanche("EWC", "EWC", SGD, ewc_lambda=0.01)),
    (method("SI", "si", SGD), avalanche("SynapticIntelligence", "SynapticIntelligence", SGD, si_lambda=0.1)),
    (method("LwF", "lwf", SGD), avalanche("LwF", "LwF", SGD, alpha=1.0, temperature=2.0)),
    (
        method("DER++", "der", SGD, samples=32, draw=BATCH, alpha=0.5, beta=0.5, only_right=False),
        avalanche("DER", "DER", SGD, mem_size=32, alpha=0.5, beta=0.5),
    ),
)
"""Ours, and Avalanche's with the same samples a step."""


def step_times(*, quick: bool) -> list[Figure]:
    """Measure the pairs one after another in this process; the quick run has only replay and GEM's."""
    pairs = [p for p in PAIRS if not quick or p[0].name == "replay" or p[0].name.startswith("GEM")]
    stream = SimulatorConfig(domains=DOMAINS, welds=8, frames=8, validation_share=0.0)
    figures = []
    before = torch.get_num_threads()
    for ours, theirs in pairs:
        seconds = []
        for one in (ours, theirs):
            job = Job(
                stream=stream,
                network=SegmenterConfig(),
                method=one,
                schedule=Schedule(batch_size=BATCH),
                evaluation=EvaluationConfig(ahead=False),
            )
            with tempfile.TemporaryDirectory(prefix="weldstream-") as folder:
                (result,) = run_jobs([job], Path(folder), Workers(count=1, backend="sequential"))
            seconds.append(result.domain_seconds[-1])
        how = (
            f"{1000 * seconds[0]:.0f} ms against {1000 * seconds[1]:.0f} ms: steps in the last of {DOMAINS} simulated "
            f"domains, batch {BATCH} at 128 x 128, the product's network, one thread, one after the other"
        )
        bar = _GEM if ours.name.startswith("GEM") else _OTHERS
        name = f"time of a step, {ours.name} over Avalanche's {theirs.name}"
        figures.append(measured(name, seconds[0] / seconds[1], "", how, at_most=bar))
    torch.set_num_threads(before)
    return figures
