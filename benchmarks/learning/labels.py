"""Wrong labels: some of everybody's, or all of one inspector's, and what is served after them."""

from pathlib import Path

from benchmarks.learning.bars import falls
from benchmarks.learning.digits import BATCH as DIGITS_BATCH
from benchmarks.learning.digits import MEMORY as DIGITS_MEMORY
from benchmarks.learning.digits import SGD
from benchmarks.learning.methods import DEFAULT, default, released
from benchmarks.learning.surfaces import ADAMW, BATCH, MEMORY
from benchmarks.learning.table import Judge, Table
from learner.lab.networks import SegmenterConfig
from learner.lab.settings import EvaluationConfig, Experiment, Method, PanelConfig, Schedule
from learner.lab.streams import DigitsConfig, TilesConfig

STEPS = 4
ONE_BAD = PanelConfig(inspectors=10, errors="one_inspector")
PANELS = {
    "one label in ten wrong": PanelConfig(errors="by_chance", share=0.1, compared=True),
    "one bad inspector of ten": ONE_BAD.model_copy(update={"compared": True}),
    "one bad inspector of ten, nobody compared": ONE_BAD,
}


def spoiled(plain: Method) -> list[Method]:
    """Return a method, and the same with each panel."""
    return [
        plain,
        *(plain.model_copy(update={"name": f"{plain.name}, {name}", "panel": who}) for name, who in PANELS.items()),
    ]


def judges() -> tuple[Judge, ...]:
    """Return what holds the default, where inspectors are compared, near itself with true labels."""
    return (falls(DEFAULT, [f"{DEFAULT}, {name}" for name, who in PANELS.items() if who.compared], "served", 2.0),)


def on_digits(*, quick: bool) -> Table:
    """Return the table on digits, where a wrong label is another class."""
    streams = tuple(
        DigitsConfig.model_validate({"change": change, "validation_share": 0.1}) for change in ("permuted", "rotated")
    )
    return Table(
        key="labels-digits",
        title="wrong labels of digits",
        experiment=Experiment(
            title="wrong labels of digits",
            streams=streams,
            methods=tuple(spoiled(default(SGD, samples=DIGITS_MEMORY, draw=DIGITS_BATCH))),
            seeds=(0,) if quick else (0, 1, 2),
            schedule=Schedule(batch_size=DIGITS_BATCH),
            evaluation=EvaluationConfig(ahead=False),
            releases=released(every=20, samples=100),
        ),
        judges=judges(),
        also=("served", "refused releases"),
        text="Accuracy on true labels.",
    )


def on_tiles(data: Path) -> Table:
    """Return the table on masks."""
    plain = default(ADAMW, samples=MEMORY, draw=BATCH).model_copy(update={"clip_norm": 1.0})
    return Table(
        key="labels-tiles",
        title="wrong labels of tiles",
        experiment=Experiment(
            title="wrong labels of tiles",
            streams=(TilesConfig(data=data),),
            methods=tuple(spoiled(plain)),
            seeds=(0, 1, 2),
            network=SegmenterConfig(),
            schedule=Schedule(batch_size=BATCH, steps_per_batch=STEPS),
            evaluation=EvaluationConfig(samples=24, ahead=False),
            releases=released(every=5 * STEPS, samples=12),
            augment=True,
        ),
        judges=judges(),
        also=("served", "refused releases"),
        text="A wrong mask misses the flaw, or shows a box where there is none. Dice on true masks.",
    )


def tables(data: Path, *, quick: bool) -> list[Table]:
    """Return both tables; the quick one is of digits, with one seed."""
    return [on_digits(quick=quick), *([] if quick else [on_tiles(data)])]
