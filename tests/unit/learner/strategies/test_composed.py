from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from learner.state import State
from learner.strategies import StrategyConfig
from learner.strategies.composed import ComposedConfig
from learner.strategies.der import DerConfig
from learner.strategies.fine_tuning import FineTuningConfig
from learner.strategies.gem import GemConfig, GemProjectionConfig
from learner.strategies.replay import ReplayConfig
from learner.strategies.si import SiConfig
from learner.strategies.table import composition
from tests.contracts.strategy import MEMORY, Setup, equal, make_batch, written


def parse(value: dict[str, Any]) -> Any:
    return TypeAdapter(StrategyConfig).validate_python(value)


def test_parts_are_chosen_by_name() -> None:
    config = parse(
        {
            "kind": "composed",
            "memory": {"kind": "der", "alpha": 0.3},
            "penalties": [{"kind": "si", "weight": 0.5}],
            "projection": {"kind": "a_gem"},
        }
    )
    assert config.memory == DerConfig(alpha=0.3)
    assert config.penalties == (SiConfig(weight=0.5),)
    assert parse(config.model_dump()) == config


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"penalties": [{"kind": "si"}, {"kind": "si"}]}, "name si more than once"),
        ({"penalties": [{"kind": "ewc"}, {"kind": "online_ewc"}]}, "two forms of one penalty"),
        ({"penalties": [{"kind": "replay"}]}, "'ewc', 'online_ewc', 'si', 'lwf', 'lfl'"),
        ({"memory": {"kind": "gem"}}, "'replay', 'der'"),
        ({"projection": {"kind": "si"}}, "'gem', 'a_gem'"),
        ({"projection": {"kind": "gem", "replay": True}}, "Extra inputs are not permitted"),
        ({"memory": {"kind": "der", "alpha": 0, "beta": 0}}, "rehearses nothing"),
    ],
)
def test_what_does_not_go_together_is_refused(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        parse({"kind": "composed", **wrong})


@pytest.mark.parametrize(
    ("short", "parts"),
    [
        (FineTuningConfig(), ComposedConfig()),
        (ReplayConfig(), ComposedConfig(memory=ReplayConfig())),
        (GemConfig(), ComposedConfig(memory=ReplayConfig(), projection=GemProjectionConfig())),
        (GemConfig(replay=False), ComposedConfig(projection=GemProjectionConfig())),
        (SiConfig(), ComposedConfig(penalties=(SiConfig(),))),
    ],
    ids=lambda config: config.kind,
)
def test_a_short_kind_is_a_choice_of_parts(short: Any, parts: ComposedConfig) -> None:
    first, second = Setup(short), Setup(parts)
    for setup in (first, second):
        setup.learn_a_domain("masks")
        for seed in (4, 5):
            setup.strategy.observe(make_batch(seed), MEMORY)
    assert equal(first, second)
    assert composition(short).memory == parts.memory


def test_a_part_that_a_state_does_not_know_begins_there() -> None:
    old = Setup(ComposedConfig(penalties=(SiConfig(),)))
    old.learn_a_domain("masks")
    state = written(old.strategy.state())
    changed = Setup(ComposedConfig(memory=DerConfig(), penalties=(SiConfig(), parse({"kind": "lwf"}))))
    changed.model.load_state_dict(old.weights())
    changed.strategy.restore(state)
    assert changed.strategy.domain == "b"
    assert changed.strategy.observe(make_batch(4), MEMORY).penalty == 0.0  # at the anchor, and nothing to distil yet
    assert changed.strategy.observe(make_batch(4), MEMORY).penalty > 0


def test_a_state_of_before_there_were_parts_is_read() -> None:
    setup = Setup(ReplayConfig())
    setup.strategy.restore(State({}, {"domain": "a", "parts": {}}))
    assert setup.strategy.domain == "a"


def test_shares_by_domains_follow_how_many_there_were() -> None:
    weights = [composition_weights(ReplayConfig(weighting="domains"), domains) for domains in (1, 2, 5)]
    assert weights == [pytest.approx((0.5, 0.5)), pytest.approx((0.5, 0.5)), pytest.approx((0.2, 0.8))]
    assert composition_weights(ReplayConfig(), 5) == pytest.approx((128 / 384, 256 / 384))


def composition_weights(config: ReplayConfig, domains: int) -> tuple[float, float]:
    from learner.strategies.replay import ReplayRehearsal

    weights = ReplayRehearsal(config).weights(128, {"a": 192, "b": 64}, domains)
    assert weights.memory["a"] == pytest.approx(3 * weights.memory["b"])
    return weights.new, sum(weights.memory.values())
