"""Masks: real surfaces, labels that come once and in order, and what would have been served."""

from pathlib import Path

from benchmarks.learning.bars import at_most, beats, near_joint, told_beside
from benchmarks.learning.methods import DEFAULT, dark, default, method, released
from benchmarks.learning.table import Table
from learner.lab.networks import SegmenterConfig
from learner.lab.settings import (
    EvaluationConfig,
    Experiment,
    MemoryConfig,
    Method,
    OptimizerConfig,
    Schedule,
)
from learner.lab.streams import TilesConfig
from learner.strategies.generative import BrainInspiredReplayConfig

ADAMW = OptimizerConfig(kind="adamw", learning_rate=5e-4, weight_decay=1e-4)
BATCH, MEMORY = 8, 200
STEPS = (1, 4, 10)
OF_EACH = 5


def table(data: Path, stream: str, steps: int, *, quick: bool) -> Table:
    """Return the table of one stream at a number of steps for each batch of labels."""
    config = TilesConfig.model_validate({"stream": stream, "data": data, "most": 60 if quick else 400})
    # All of the memory at each step, as in the paper, would be an hour a run.
    of_each = MemoryConfig(samples=MEMORY, draw=OF_EACH, per_domain=True, current=False)
    methods = [
        method("joint", "joint", ADAMW, samples_per_step=3 * BATCH),
        method("fine-tuning", "fine_tuning", ADAMW),
        method("replay", "replay", ADAMW, samples=MEMORY, draw=BATCH),
        method("GEM with replay", "gem", ADAMW, memory=of_each),
        default(ADAMW, samples=MEMORY, draw=BATCH),
        dark(ADAMW, samples=MEMORY, draw=BATCH),
    ]
    last = steps == STEPS[-1]
    kept = [m for m in methods if not quick or m.name in {"joint", "fine-tuning", "replay", DEFAULT}]
    return Table(
        key=f"{stream}-{steps}",
        title=f"{config.name}, {steps} step{'s' if steps > 1 else ''} a batch",
        experiment=Experiment(
            title=f"{config.name}, {steps} steps a batch",
            streams=(config,),
            methods=tuple(m.model_copy(update={"clip_norm": 1.0}) for m in kept),
            seeds=(0,) if quick else (0, 1, 2),
            network=SegmenterConfig(),
            schedule=Schedule(batch_size=BATCH, steps_per_batch=steps),
            evaluation=EvaluationConfig(every=10 * steps, samples=24, ahead=False),
            releases=released(every=5 * steps, samples=12),
            augment=True,
        ),
        judges=(
            *((near_joint(DEFAULT, share=0.95),) if last else ()),
            *((at_most(DEFAULT, "forgetting", 2.0),) if last else ()),
            at_most(DEFAULT, "served regret", 1.0),
            at_most(DEFAULT, "refused releases", 100 / 3),
        ),
        also=(
            "forgetting",
            "min-ACC",
            "WC-ACC",
            "hit rate",
            "false calls per frame",
            "served regret",
            "refused releases",
        ),
        text="Labels come once and in order; Dice. Joint has as many steps, and as many samples a step.",
    )


def store_nothing(data: Path) -> Table:
    """Return the table of methods that keep no scan, with brain-inspired replay whole and without each part."""
    config = TilesConfig(data=data)
    parts = {
        "internal": "internal replay",
        "distill": "distillation",
        "gating": "gates",
        "conditional": "a conditional prior",
        "feedback": "replay through feedback",
    }
    others = [
        method("fine-tuning", "fine_tuning", ADAMW),
        method("online EWC", "online_ewc", ADAMW),
        method("SI", "si", ADAMW),
        method("LwF", "lwf", ADAMW),
        method("LFL", "lfl", ADAMW),
        method("generative replay", "generative_replay", ADAMW),
    ]
    ours = [
        method("BI-R", "bir", ADAMW),
        method("BI-R and SI", "bir", ADAMW, penalties=({"kind": "si"},)),
        *(
            Method(
                name=f"BI-R without {name}",
                strategy=BrainInspiredReplayConfig.model_validate({part: False}),
                optimizer=ADAMW,
            )
            for part, name in parts.items()
        ),
    ]
    return Table(
        key="store-nothing",
        title=f"{config.name}, nothing stored",
        experiment=Experiment(
            title=f"{config.name}, nothing stored",
            streams=(config,),
            methods=tuple(m.model_copy(update={"clip_norm": 1.0}) for m in (*others, *ours)),
            seeds=(0, 1, 2),
            network=SegmenterConfig(),
            schedule=Schedule(batch_size=BATCH),
            evaluation=EvaluationConfig(ahead=False),
            augment=True,
        ),
        judges=(
            beats("BI-R", [m.name for m in others]),
            told_beside("BI-R", [m.name for m in ours[2:]]),
        ),
        also=("forgetting",),
        text="No raw scan is kept: features are generated, or nothing is replayed. Dice.",
    )


def tables(data: Path, *, quick: bool) -> list[Table]:
    """Return the tables of both streams; the quick one is one step on few tiles."""
    if quick:
        return [table(data, "exposures", 1, quick=True)]
    return [
        *(table(data, stream, steps, quick=False) for stream in ("exposures", "hard") for steps in STEPS),
        store_nothing(data),
    ]
