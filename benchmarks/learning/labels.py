"""Wrong labels: some of everybody's, or all of one inspector's, and what is served after them."""

from pathlib import Path

from benchmarks.learning.bars import falls
from benchmarks.learning.methods import DEFAULT, default
from benchmarks.learning.surfaces import ADAMW, BATCH, MEMORY
from benchmarks.learning.table import Table
from learner.lab.networks import SegmenterConfig
from learner.lab.settings import EvaluationConfig, Experiment, PanelConfig, ReleaseConfig, Schedule
from learner.lab.streams import TilesConfig

STEPS = 4
ONE_BAD = PanelConfig(inspectors=10, errors="one_inspector")
PANELS = {
    "one label in ten wrong": PanelConfig(errors="by_chance", share=0.1, compared=True),
    "one bad inspector of ten": ONE_BAD.model_copy(update={"compared": True}),
    "one bad inspector of ten, nobody compared": ONE_BAD,
}


def tables(data: Path) -> list[Table]:
    """Return the table; what is served is judged against the truth."""
    stream = TilesConfig(data=data)
    plain = default(ADAMW, samples=MEMORY, draw=BATCH).model_copy(update={"clip_norm": 1.0})
    spoiled = [
        plain.model_copy(update={"name": f"{DEFAULT}, {name}", "panel": panel}) for name, panel in PANELS.items()
    ]
    compared = [m.name for m in spoiled if m.panel is not None and m.panel.compared]
    return [
        Table(
            key="labels",
            title="wrong labels",
            experiment=Experiment(
                title="wrong labels",
                streams=(stream,),
                methods=(plain, *spoiled),
                seeds=(0, 1, 2),
                network=SegmenterConfig(),
                schedule=Schedule(batch_size=BATCH, steps_per_batch=STEPS),
                evaluation=EvaluationConfig(samples=24, ahead=False),
                releases=ReleaseConfig(every=5 * STEPS, gate_samples=12),
                augment=True,
            ),
            judges=(falls(DEFAULT, compared, "served", 2.0),),
            also=("served", "refused releases"),
            text="A wrong mask misses the flaw, or shows a box where there is none. Dice on true masks.",
        )
    ]
