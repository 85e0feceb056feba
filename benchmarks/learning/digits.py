"""Digits: ours and Avalanche's strategies, side by side in one run."""

from benchmarks.learning.bars import against, beats, near_joint
from benchmarks.learning.methods import AVERAGING, DARK, DEFAULT, avalanche, dark, default, method
from benchmarks.learning.table import Table
from learner.lab.search import Budget
from learner.lab.settings import EvaluationConfig, Experiment, Method, OptimizerConfig, Schedule
from learner.lab.streams import DigitsConfig

SGD = OptimizerConfig(learning_rate=0.1)
ADAM = OptimizerConfig(kind="adam", learning_rate=1e-3)
MEMORY, DOMAINS, BATCH = 250, 5, 10
EACH = MEMORY // DOMAINS
TRIALS = 8

PAIRS = {
    "fine-tuning": "Avalanche Naive",
    "replay": "Avalanche Replay",
    "DER++": "Avalanche DER",
    "GEM": "Avalanche GEM",
    "A-GEM": "Avalanche AGEM",
    "EWC": "Avalanche EWC",
    "SI": "Avalanche SynapticIntelligence",
    "LwF": "Avalanche LwF",
    "LFL": "Avalanche LFL",
}


STORE_NOTHING = ("fine-tuning", "EWC", "online EWC", "SI", "LwF", "LFL", "generative replay")


def ours() -> list[Method]:
    """Return our methods."""
    joint = method("joint", "joint", SGD, samples_per_step=3 * BATCH)
    return [
        joint,
        joint.model_copy(update={"name": "joint, averaged", "averaging": AVERAGING}),
        method("fine-tuning", "fine_tuning", SGD),
        method("replay", "replay", SGD),
        method("DER++", "der", SGD, alpha=0.5, beta=0.5, only_right=False),
        method("GEM", "gem", SGD, replay=False),
        method("GEM, gradients used for 4 steps", "gem", SGD, replay=False, refresh_every=4),
        method("GEM, 2 constraints", "gem", SGD, replay=False, constraints=2),
        method("GEM with replay", "gem", SGD),
        method("A-GEM", "a_gem", SGD, replay=False, draw=EACH),
        method("EWC", "ewc", SGD),
        method("online EWC", "online_ewc", SGD),
        method("SI", "si", SGD),
        method("LwF", "lwf", SGD),
        method("LFL", "lfl", SGD),
        method("generative replay", "generative_replay", ADAM),
        method("BI-R", "bir", ADAM),
        method("BI-R and SI", "bir", ADAM, penalties=({"kind": "si"},)),
        default(SGD, samples=MEMORY, draw=BATCH),
        dark(SGD, samples=MEMORY, draw=BATCH),
    ]


def theirs() -> list[Method]:
    """Return Avalanche's."""
    return [
        avalanche("Avalanche Naive", "Naive", SGD),
        avalanche("Avalanche Replay", "Replay", SGD, mem_size=MEMORY),
        avalanche("Avalanche DER", "DER", SGD, mem_size=MEMORY, alpha=0.5, beta=0.5),
        avalanche("Avalanche GEM", "GEM", SGD, patterns_per_exp=EACH, memory_strength=0.5),
        avalanche("Avalanche AGEM", "AGEM", SGD, patterns_per_exp=EACH, sample_size=EACH),
        avalanche("Avalanche EWC", "EWC", SGD, ewc_lambda=10.0),
        avalanche("Avalanche SynapticIntelligence", "SynapticIntelligence", SGD, si_lambda=0.1),
        avalanche("Avalanche LwF", "LwF", SGD, alpha=1.0, temperature=2.0),
        avalanche("Avalanche LFL", "LFL", SGD, lambda_e=0.01),
    ]


def tables(*, quick: bool) -> list[Table]:
    """Return the tables of 1 and 5 epochs; the quick one is permuted, one epoch, one seed, no search."""
    changes = ("permuted",) if quick else ("permuted", "rotated")
    return [
        Table(
            key=f"digits-{epochs}",
            title=f"digits, {epochs} epoch{'s' if epochs > 1 else ''}",
            experiment=Experiment(
                title=f"digits, {epochs} epochs",
                streams=tuple(DigitsConfig.model_validate({"change": c, "domains": DOMAINS}) for c in changes),
                methods=(*ours(), *theirs()),
                seeds=(0,) if quick else (0, 1, 2),
                schedule=Schedule(batch_size=BATCH, epochs=epochs),
                evaluation=EvaluationConfig(every=None if quick else 24, samples=100),
            ),
            judges=(
                against(PAIRS),
                near_joint(DEFAULT, points=1.5),
                near_joint(DARK, points=1.5),
                beats("BI-R", STORE_NOTHING),
            ),
            budget=None if quick else Budget(trials=TRIALS),
            also=("forgetting",),
            text="64-100-100-10, batch 10, memory 250 in all; joint has 30 samples a step, as DER++ has.",
        )
        for epochs in ((1,) if quick else (1, 5))
    ]
