"""MNIST: the published tables."""

from pathlib import Path

from benchmarks.learning.bars import above_all, above_published, beats, published
from benchmarks.learning.methods import DARK, DEFAULT, dark, default, method
from benchmarks.learning.table import Table
from learner.lab.networks import MlpConfig
from learner.lab.settings import EvaluationConfig, Experiment, MemoryConfig, Method, OptimizerConfig, Schedule
from learner.lab.streams import DigitsConfig
from learner.strategies.generative import BrainInspiredReplayConfig

_QUICK_BUZZEGA = ("joint", "fine-tuning", "replay 200", "DER++ 200", "SI", DEFAULT, DARK)
_QUICK_SPLIT = ("none", "replay")


def sgd(rate: float) -> OptimizerConfig:
    """Return plain SGD."""
    return OptimizerConfig(learning_rate=rate)


def adam(rate: float, *, reset: bool = False) -> OptimizerConfig:
    """Return Adam."""
    return OptimizerConfig(kind="adam", learning_rate=rate, reset=reset)


def buzzega(data: Path, change: str, *, quick: bool) -> Table:
    """Return the table of Buzzega et al. 2020 for one of their two streams, with their settings where they hold."""
    stream = DigitsConfig.model_validate({"source": "mnist", "change": change, "domains": 20, "data": data})
    rate = {"permuted": 0.1, "rotated": 0.01}[change]
    methods = [
        method("joint", "joint", sgd(0.2)),
        method("fine-tuning", "fine_tuning", sgd(0.2)),
        method("online EWC", "online_ewc", sgd(0.1), weight=6.0),
        method("SI", "si", sgd(0.1), weight=0.5, damping=1.0),
    ]
    for samples in (200, 500):
        methods += [
            method(f"replay {samples}", "replay", sgd(0.2), samples=samples, draw=128),
            method(f"GEM {samples}", "gem", sgd(rate), samples=samples, replay=False),
            method(f"A-GEM {samples}", "a_gem", sgd(0.1), samples=samples, draw=128, replay=False),
            method(f"DER {samples}", "der", sgd(0.2), memory=_dark(samples, 1), alpha=1.0, beta=0.0, only_right=False),
            method(
                f"DER++ {samples}", "der", sgd(0.2), memory=_dark(samples, 2), alpha=1.0, beta=0.5, only_right=False
            ),
        ]
    methods += [
        default(sgd(0.2), samples=200, draw=128),
        dark(sgd(0.1), samples=200, draw=128, alpha=1.0, only_right=False),
    ]
    kept = [m for m in methods if not quick or m.name in _QUICK_BUZZEGA]
    streams = {stream.name: change}
    return Table(
        key=f"mnist-{change}",
        title=f"{change} MNIST",
        experiment=Experiment(
            title=f"{change} MNIST, 20 domains",
            streams=(stream,),
            methods=tuple(kept),
            seeds=(0,),
            schedule=Schedule(batch_size=128),
            evaluation=EvaluationConfig(ahead=False),
        ),
        judges=(
            published("buzzega", streams, "buzzega-measured"),
            above_published("buzzega", streams, DEFAULT, "200"),
            above_published("buzzega", streams, DARK, "200"),
            above_all(DARK, [m.name for m in kept if m.name.endswith(" 200")]),
        ),
        text="The rotated stream depends on its 20 random angles: compare within it.",
    )


def _dark(samples: int, draws: int) -> MemoryConfig:
    return MemoryConfig(samples=samples, draw=128, draws=draws, logits=True)


def zenke(data: Path) -> Table:
    """Return SI's table over its strength c, at a width and a number of epochs that two cores can do."""
    stream = DigitsConfig(source="mnist", change="permuted", domains=10, data=data)
    fine = method("SI, c = 0", "fine_tuning", adam(1e-3))
    strengths = (0.01, 0.02, 0.1)
    return Table(
        key="mnist-si",
        title="SI on permuted MNIST",
        experiment=Experiment(
            title="SI on permuted MNIST, 10 domains",
            streams=(stream,),
            methods=(fine, *(method(f"SI, c = {c:g}", "si", adam(1e-3), weight=c, damping=0.1) for c in strengths)),
            seeds=(0,),
            network=MlpConfig(hidden=(400, 400)),
            schedule=Schedule(batch_size=256, epochs=5),
            evaluation=EvaluationConfig(ahead=False),
        ),
        judges=(published("zenke", {stream.name: "permuted"}),),
        text="The paper has two layers of 2,000 units and 20 epochs; here 400 and 5.",
    )


def split(data: Path, scenario: str, *, quick: bool) -> Table:
    """Return split MNIST in one of van de Ven's scenarios."""
    stream = DigitsConfig.model_validate({"source": "mnist", "change": "split", "scenario": scenario, "data": data})
    rate = adam(1e-3)
    replayed = MemoryConfig(samples=1000, policy="class_balanced", draw=128, current=False)
    methods: list[Method] = [
        method("none", "fine_tuning", rate),
        method("EWC", "ewc", rate, weight=5000.0),
        method("online EWC", "online_ewc", rate, weight=5000.0),
        method("SI", "si", rate, weight=10.0),
        method("LwF", "lwf", rate, weighting="domains"),
        method("replay", "replay", rate, memory=replayed),
        method("generative replay", "generative_replay", rate, scenario=scenario),
        method("BI-R", "bir", rate, scenario=scenario),
    ]
    return Table(
        key=f"mnist-split-{scenario}",
        title=f"split MNIST, {scenario}",
        experiment=Experiment(
            title=f"split MNIST, {scenario}",
            streams=(stream,),
            methods=tuple(m for m in methods if not quick or m.name in _QUICK_SPLIT),
            seeds=(0,),
            network=MlpConfig(hidden=(400, 400)),
            schedule=Schedule(batch_size=128, iterations=2000),
            evaluation=EvaluationConfig(ahead=False),
        ),
        judges=(published("van-de-ven", {stream.name: scenario}),),
    )


def brain_inspired(data: Path, *, quick: bool) -> Table:
    """Return BI-R on permuted MNIST, whole, without each part, and with SI; what stores nothing beside it."""
    stream = DigitsConfig(source="mnist", change="permuted", domains=3 if quick else 10, data=data)
    rate = adam(1e-3)
    parts = {
        "feedback": "replay through feedback",
        "conditional": "a conditional prior",
        "gating": "gates",
        "distill": "distillation",
    }
    lesions = [BrainInspiredReplayConfig.model_validate({part: False}) for part in parts]
    without = [
        Method(name=f"BI-R without {name}", strategy=strategy, optimizer=rate)
        for name, strategy in zip(parts.values(), lesions, strict=True)
    ]
    others = [
        method("fine-tuning", "fine_tuning", rate),
        method("online EWC", "online_ewc", rate, weight=100.0),
        method("SI", "si", rate),
        method("LwF", "lwf", rate, weighting="domains"),
        method("generative replay", "generative_replay", rate),
    ]
    methods = [
        method("joint", "joint", rate),
        method("BI-R", "bir", rate),
        method("BI-R and SI", "bir", rate, penalties=({"kind": "si"},)),
        *(without[2:3] if quick else without),
        *(others[:1] if quick else others),
    ]
    return Table(
        key="mnist-bir",
        title="brain-inspired replay on permuted MNIST",
        experiment=Experiment(
            title="brain-inspired replay on permuted MNIST",
            streams=(stream,),
            methods=tuple(methods),
            seeds=(0,) if quick else (0, 1, 2),
            network=MlpConfig(hidden=(400, 400)),
            schedule=Schedule(batch_size=128, iterations=300 if quick else 1000),
            evaluation=EvaluationConfig(ahead=False),
        ),
        judges=(beats("BI-R", [m.name for m in others]),),
        also=("forgetting",),
        text="Pixels are permuted: no pre-trained front is of use, so that internal replay has no lesion.",
    )


def tables(data: Path, *, quick: bool) -> list[Table]:
    """Return all tables; the quick ones are a part of the permuted and of the class-incremental one."""
    folder = data / "mnist"
    if quick:
        return [
            buzzega(folder, "permuted", quick=True),
            split(folder, "class", quick=True),
            brain_inspired(folder, quick=True),
        ]
    return [
        *(buzzega(folder, change, quick=False) for change in ("permuted", "rotated")),
        zenke(folder),
        brain_inspired(folder, quick=False),
        *(split(folder, scenario, quick=False) for scenario in ("task", "domain", "class")),
    ]
