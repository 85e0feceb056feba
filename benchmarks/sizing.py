"""What a plant of 100 lines needs, worked out on paper from the costs that were measured.

``python -m benchmarks.sizing`` works it out again from the results that lie there.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path

from rich.console import Console

from benchmarks.figures import Figure, measured, print_table, read_results, write_results
from learner.settings import LearnerSettings, MemorySettings, TrainingSettings
from learner.strategies import stores_logits
from schemas.topics import DAY_MS, FRAMES, JUDGEMENTS, REVIEW_REQUESTS

RESULTS = Path(__file__).resolve().parent / "results"
DAY_S = DAY_MS / 1000


class Cost(StrEnum):
    """Names of the measured figures that are taken as inputs."""

    CAPACITY = "capacity of one process"
    MEMORY = "resident memory in overload, highest"
    INFERENCE = "inference, core time a frame"
    BROKER = "broker, core time a frame"
    FRAME = "frames topic, disk a frame"
    JUDGEMENT = "judgements topic, disk a judgement"
    REQUEST = "review requests topic, disk a request"
    REST = "all other topics, disk a frame"
    ASKED = "share of frames that a review is asked for"
    SAMPLE = "Redis, memory a sample"
    STEP = "learner, core time a sample of a step"


@dataclass(frozen=True, slots=True)
class Plant:
    """What is assumed, since nothing here can measure it.

    Attributes
    ----------
    lines, rate : float
        Weld lines, and frames/s of each.
    load : float
        Share of a core or process that is planned with; the rest is for peaks and for losing a node.
    replicas : int
        Copies that the brokers keep.
    labels_per_hour : float
        Given by all inspectors together.
    domains : int
        Over all lines; each step rehearses those that are past.
    node_cores : int
        Of a machine.
    """

    lines: float = 100
    rate: float = 100
    load: float = 0.7
    replicas: int = 3
    labels_per_hour: float = 600
    domains: int = 4
    node_cores: int = 32


@dataclass(frozen=True, slots=True)
class Sizes:
    """What is needed; units as in :func:`as_figures`."""

    frames: float
    processes: int
    partitions: int
    inference_cores: float
    inference_memory_gib: float
    nodes: int
    broker_cores: float
    broker_disk_tib: float
    review_disk_tib: float
    network_in_gbit: float
    network_out_gbit: float
    redis_mib: float
    learner_cores: float


def size(costs: Mapping[str, float], plant: Plant, memory: MemorySettings, training: TrainingSettings) -> Sizes:
    """Work out the sizes.

    Parameters
    ----------
    costs : mapping of str to float
        Values of the figures that :class:`Cost` names: frames/s, MiB, ms, bytes, shares.
    plant : Plant
        What is assumed.
    memory, training : MemorySettings, TrainingSettings
        How many samples are kept, and how many steps a label costs.

    Raises
    ------
    KeyError
        If a cost is missing.
    """
    frames = plant.lines * plant.rate
    processes = math.ceil(frames / (costs[Cost.CAPACITY] * plant.load))
    inference_cores = frames * costs[Cost.INFERENCE] / 1000 / plant.load
    # All that is written of a frame, once.
    asked = costs[Cost.ASKED] * costs[Cost.REQUEST]
    written = frames * (costs[Cost.FRAME] + costs[Cost.JUDGEMENT] + asked + costs[Cost.REST])
    kept = frames * (
        costs[Cost.FRAME] * FRAMES.retention_ms / 1000 + costs[Cost.JUDGEMENT] * JUDGEMENTS.retention_ms / 1000
    )
    reviews = frames * asked * REVIEW_REQUESTS.retention_ms / 1000
    step = training.batch_size + rehearsed(training) * (plant.domains - 1)
    steps_per_label = training.steps_per_label + training.idle_steps_per_label
    return Sizes(
        frames=frames,
        processes=processes,
        # Some more than processes, so that nodes can be added before topics must be made anew.
        partitions=math.ceil(processes * 1.5),
        inference_cores=inference_cores,
        inference_memory_gib=processes * costs[Cost.MEMORY] / 1024,
        nodes=math.ceil(inference_cores / plant.node_cores),
        broker_cores=frames * costs[Cost.BROKER] / 1000 * plant.replicas / plant.load,
        broker_disk_tib=kept * plant.replicas / 2**40,
        review_disk_tib=reviews * plant.replicas / 2**40,
        # In: the producers and the copies among the brokers. Out: one reader of everything, and the copies.
        network_in_gbit=written * plant.replicas * 8 / 1e9,
        network_out_gbit=written * plant.replicas * 8 / 1e9,
        redis_mib=(memory.samples + memory.validation_samples) * costs[Cost.SAMPLE] / 2**20,
        learner_cores=plant.labels_per_hour / 3600 * steps_per_label * step * costs[Cost.STEP] / 1000,
    )


def rehearsed(training: TrainingSettings) -> int:
    """Return how many samples of a past domain are in a step of the default strategy, over all of its draws."""
    strategy = LearnerSettings.model_fields["strategy"].get_default(call_default_factory=True)
    return training.replay_per_domain * (2 if stores_logits(strategy) else 1)


def sizes(results: Sequence[Figure]) -> list[Figure]:
    """Return the sizes that follow from measured figures.

    Raises
    ------
    KeyError
        If a figure is missing that the sizes are made of.
    """
    known = {figure.figure: figure.value for figure in results}
    costs = {str(cost): known[cost] for cost in Cost}
    return as_figures(size(costs, Plant(), MemorySettings(), TrainingSettings()), costs, Plant())


def as_figures(found: Sizes, costs: Mapping[str, float], plant: Plant) -> list[Figure]:
    """Return sizes as figures whose method names each input and where it comes from."""
    memory, training = MemorySettings(), TrainingSettings()
    load, copies = f"planned to {plant.load:.0%}", f"{plant.replicas} replicas"
    cost = {name: f"{name} {value:.4g}" for name, value in costs.items()}
    kept = {
        topic: f"{cost[name]} bytes for {topic.retention_ms / DAY_MS:g} days"
        for topic, name in ((FRAMES, Cost.FRAME), (JUDGEMENTS, Cost.JUDGEMENT), (REVIEW_REQUESTS, Cost.REQUEST))
    }
    written = ", ".join(cost[c] for c in (Cost.FRAME, Cost.JUDGEMENT, Cost.REQUEST, Cost.ASKED, Cost.REST))
    labels = (
        f"{plant.labels_per_hour:g} labels an hour, "
        f"{training.steps_per_label + training.idle_steps_per_label:g} steps a label, "
        f"{training.batch_size} samples and {rehearsed(training)} of each of {plant.domains - 1} past domains "
        "in a step"
    )
    rows = {
        "frames": ("frames", "frames/s", f"{plant.lines:g} lines of {plant.rate:g} frames/s, as asked for"),
        "processes": ("inference processes", "processes", f"{cost[Cost.CAPACITY]} frames/s, {load}"),
        "partitions": ("partitions of the frames topic", "partitions", "half as many again as processes"),
        "inference_cores": ("inference cores", "cores", f"{cost[Cost.INFERENCE]} ms, {load}"),
        "inference_memory_gib": ("inference memory", "GiB", f"{cost[Cost.MEMORY]} MiB a process"),
        "nodes": ("inference nodes", "nodes", f"{plant.node_cores} cores a node, as those measured"),
        "broker_cores": (
            "broker cores",
            "cores",
            f"{cost[Cost.BROKER]} ms, {copies}, each as dear as the first, {load}",
        ),
        "broker_disk_tib": (
            "broker disk for frames and judgements",
            "TiB",
            f"{kept[FRAMES]}, {kept[JUDGEMENTS]}, {copies}",
        ),
        "review_disk_tib": (
            "broker disk for review requests",
            "TiB",
            f"{kept[REVIEW_REQUESTS]}, {cost[Cost.ASKED]}, that of simulated welds full of flaws, {copies}",
        ),
        "network_in_gbit": ("network into the brokers", "Gbit/s", f"{written}, {copies}"),
        "network_out_gbit": ("network out of the brokers", "Gbit/s", f"{written}, one reader of each topic, {copies}"),
        "redis_mib": (
            "Redis memory",
            "MiB",
            f"{cost[Cost.SAMPLE]} bytes, {memory.samples} samples and {memory.validation_samples} held out",
        ),
        "learner_cores": ("learner cores", "cores", f"{cost[Cost.STEP]} ms, {labels}"),
    }
    return [measured(rows[f.name][0], getattr(found, f.name), *rows[f.name][1:]) for f in fields(found)]


def main() -> int:
    """Work the sizes out from the results of ``make bench-load``, write and print them."""
    found = sizes(read_results(RESULTS / "load.json"))
    write_results(found, RESULTS / "sizing.json")
    print_table(found, Console())
    return 0


if __name__ == "__main__":
    sys.exit(main())
