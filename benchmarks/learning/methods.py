"""Methods as the tables run them."""

from typing import Any

from pydantic import TypeAdapter

from learner.lab.presets import memory_of
from learner.lab.settings import AvalancheConfig, LabStrategy, MemoryConfig, Method, OptimizerConfig, ReleaseConfig
from learner.settings import LearnerSettings, ReleaseSettings
from learner.trainer import TrainerConfig

_STRATEGY: TypeAdapter[LabStrategy] = TypeAdapter(LabStrategy)

DEFAULT = "default"
"""Name of the product's own strategy in every table."""

DARK = "our DER++"
"""Name of DER++ with our defaults: stored logits are rehearsed as far as they were right."""

AVERAGING = TrainerConfig().averaging


def method(
    name: str,
    kind: str,
    optimizer: OptimizerConfig,
    *,
    samples: int = 250,
    draw: int = 10,
    memory: MemoryConfig | None = None,
    **settings: Any,
) -> Method:
    """Return a method: a strategy with the memory that its paper has, unless another is given."""
    strategy = _STRATEGY.validate_python({"kind": kind, **settings})
    kept = memory if memory is not None else memory_of(kind, samples=samples, draw=draw)
    return Method(name=name, strategy=strategy, memory=kept, optimizer=optimizer)


def default(optimizer: OptimizerConfig, *, samples: int, draw: int) -> Method:
    """Return the product's strategy with as many samples, judged as the product releases it."""
    strategy = LearnerSettings.model_fields["strategy"].get_default(call_default_factory=True)
    memory = memory_of(strategy.kind, samples=samples, draw=draw)
    return Method(name=DEFAULT, strategy=strategy, memory=memory, optimizer=optimizer, averaging=AVERAGING)


def dark(optimizer: OptimizerConfig, *, samples: int, draw: int, **settings: Any) -> Method:
    """Return DER++ with our defaults, judged as the product releases."""
    found = method(DARK, "der", optimizer, samples=samples, draw=draw, **settings)
    return found.model_copy(update={"averaging": AVERAGING})


def avalanche(name: str, strategy: str, optimizer: OptimizerConfig, **options: Any) -> Method:
    """Return a strategy of Avalanche."""
    return Method(name=name, strategy=AvalancheConfig(strategy=strategy, options=options), optimizer=optimizer)


def released(*, every: int, samples: int) -> ReleaseConfig:
    """Return what releases as the product does: every so many steps, judged on so many samples of each domain."""
    return ReleaseConfig(every=every, gate_samples=samples, fallbacks=ReleaseSettings().fallbacks)
