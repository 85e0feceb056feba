"""Names that people type, and the settings that they stand for."""

from collections.abc import Callable
from pathlib import Path

from pydantic import TypeAdapter

from learner.lab.errors import BadExperimentError
from learner.lab.settings import JointConfig, LabStrategy, MemoryConfig, Method, OptimizerConfig
from learner.lab.streams import (
    CifarConfig,
    DigitsConfig,
    FolderConfig,
    FramesConfig,
    RecordedConfig,
    SimulatorConfig,
    StreamConfig,
    TilesConfig,
)

STREAMS: dict[str, Callable[[Path], StreamConfig]] = {
    "permuted-digits": lambda _: DigitsConfig(change="permuted"),
    "rotated-digits": lambda _: DigitsConfig(change="rotated"),
    "split-digits": lambda _: DigitsConfig(change="split", scenario="class"),
    "permuted-mnist": lambda data: DigitsConfig(source="mnist", change="permuted", domains=20, data=data),
    "rotated-mnist": lambda data: DigitsConfig(source="mnist", change="rotated", domains=20, data=data),
    "split-mnist": lambda data: DigitsConfig(source="mnist", change="split", scenario="class", data=data),
    "split-mnist-domain": lambda data: DigitsConfig(source="mnist", change="split", scenario="domain", data=data),
    "split-mnist-task": lambda data: DigitsConfig(source="mnist", change="split", scenario="task", data=data),
    "tiles": lambda data: TilesConfig(data=data),
    "tiles-and-steel": lambda data: TilesConfig(stream="hard", data=data),
    "simulated": lambda _: SimulatorConfig(),
    "folder": lambda data: FolderConfig(data=data),
    "cifar-10": lambda data: CifarConfig(data=data),
    "cifar-100": lambda data: CifarConfig(classes=100, domains=10, data=data),
    "recorded": lambda data: RecordedConfig(data=data),
}
"""Streams by name, made of the folder that ``--data`` names."""

_STRATEGY: TypeAdapter[LabStrategy] = TypeAdapter(LabStrategy)


def stream_named(name: str, data: Path) -> StreamConfig:
    """Return the settings of a stream.

    Raises
    ------
    BadExperimentError
        If there is none of this name; the message lists those there are.
    """
    if name not in STREAMS:
        raise BadExperimentError(f"no stream {name!r}; there are {', '.join(STREAMS)}")
    return STREAMS[name](data)


def has_masks(stream: StreamConfig) -> bool:
    """Tell whether a stream's targets are masks."""
    return isinstance(stream, FramesConfig)


def method_named(kind: str, *, samples: int, draw: int, optimizer: OptimizerConfig) -> Method:
    """Return a strategy with its defaults and the memory that its paper has.

    Parameters
    ----------
    kind : str
        "joint", or any kind of :data:`learner.strategies.StrategyConfig`.
    samples : int
        Samples in memory, in all.
    draw : int
        Samples drawn for a step, and taken of the stream.
    optimizer : OptimizerConfig
        Of all methods.

    Raises
    ------
    pydantic.ValidationError
        If there is no such kind; the message lists those there are.
    """
    strategy = _STRATEGY.validate_python({"kind": kind.replace("-", "_")})
    if isinstance(strategy, JointConfig):
        # As many samples a step as those that replay have, or replay would look better than its own upper bound.
        strategy = JointConfig(samples_per_step=2 * draw)
    return Method(
        name=kind,
        strategy=strategy,
        memory=memory_of(strategy.kind, samples=samples, draw=draw),
        optimizer=optimizer,
    )


def memory_of(kind: str, *, samples: int, draw: int) -> MemoryConfig | None:
    """Return the memory that goes with a strategy, None for one that keeps no samples.

    GEM and A-GEM have fixed shares that are filled when a domain ends, all or
    one draw of them constrain a step; replay and DER++ a reservoir that also
    holds what is being learned.
    """
    match kind:
        case "gem":
            return MemoryConfig(samples=samples, policy="ring", fill="domain", draw=None, current=False)
        case "a_gem":
            return MemoryConfig(samples=samples, policy="ring", fill="domain", draw=draw, current=False)
        case "der":
            return MemoryConfig(samples=samples, draw=draw, draws=2, logits=True)
        case "replay" | "composed":
            return MemoryConfig(samples=samples, draw=draw)
        case _:
            return None


def default_methods() -> tuple[str, ...]:
    """Return the two ends of every table, and what lies between them."""
    return ("fine-tuning", "replay", "gem", JointConfig().kind)
