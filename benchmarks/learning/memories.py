"""What is kept, at equal bytes: the plain reservoir beside balanced memories and coresets."""

from benchmarks.learning.bars import told_beside
from benchmarks.learning.methods import method
from benchmarks.learning.table import Table
from learner.lab.settings import EvaluationConfig, Experiment, MemoryConfig, OptimizerConfig, Schedule
from learner.lab.streams import DigitsConfig

SGD = OptimizerConfig(learning_rate=0.1)
SAMPLES, DRAW = 100, 10
POLICIES = {
    "reservoir": "reservoir",
    "class_balanced": "class-balanced",
    "domain_balanced": "domain-balanced",
    "ring": "ring",
    "diverse": "coreset by diversity",
    "diverse_gradients": "coreset by gradients",
}


def tables(*, quick: bool) -> list[Table]:
    """Return the table of all policies on digits; the quick one has one seed."""
    methods = tuple(
        method(
            f"replay, {name}",
            "replay",
            SGD,
            memory=MemoryConfig.model_validate({"samples": SAMPLES, "draw": DRAW, "policy": policy}),
        )
        for policy, name in POLICIES.items()
    )
    return [
        Table(
            key="memories",
            title="memories of equal size",
            experiment=Experiment(
                title="memories of equal size",
                streams=tuple(DigitsConfig.model_validate({"change": c}) for c in ("permuted", "rotated")),
                methods=methods,
                seeds=(0,) if quick else tuple(range(5)),
                schedule=Schedule(batch_size=10),
                evaluation=EvaluationConfig(ahead=False),
            ),
            judges=(told_beside("replay, reservoir", [m.name for m in methods[1:]]),),
            also=("forgetting",),
            text=f"{SAMPLES} samples in all, {DRAW} replayed a step.",
        )
    ]
