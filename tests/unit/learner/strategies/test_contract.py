import pytest
from pydantic import TypeAdapter, ValidationError

from learner.strategies import StrategyConfig
from learner.strategies.a_gem import AGemConfig, AGemProjectionConfig
from learner.strategies.composed import ComposedConfig
from learner.strategies.der import DerConfig
from learner.strategies.ewc import EwcConfig, OnlineEwcConfig
from learner.strategies.fine_tuning import FineTuningConfig
from learner.strategies.gem import GemConfig, GemProjectionConfig
from learner.strategies.lfl import LflConfig
from learner.strategies.lwf import LwfConfig
from learner.strategies.replay import ReplayConfig
from learner.strategies.si import SiConfig
from tests.contracts.strategy import StrategyContract

CONFIGS = [
    FineTuningConfig(),
    ReplayConfig(),
    ReplayConfig(weighting="domains"),
    GemConfig(),
    GemConfig(replay=False),
    GemConfig(constraints=1, refresh_every=2),
    AGemConfig(),
    AGemConfig(replay=True),
    DerConfig(),
    DerConfig(beta=0, only_right=False),
    EwcConfig(),
    EwcConfig(fisher="empirical"),
    OnlineEwcConfig(decay=0.9),
    SiConfig(),
    LwfConfig(),
    LwfConfig(weighting="domains"),
    LflConfig(),
    ComposedConfig(),
    ComposedConfig(memory=DerConfig(), penalties=(SiConfig(),), projection=AGemProjectionConfig()),
    ComposedConfig(
        memory=ReplayConfig(),
        penalties=(OnlineEwcConfig(), SiConfig(), LwfConfig(), LflConfig()),
        projection=GemProjectionConfig(),
    ),
]


@pytest.mark.parametrize("config", CONFIGS, ids=repr)
class TestStrategies(StrategyContract):
    pass


def test_an_unknown_strategy_names_those_there_are() -> None:
    with pytest.raises(ValidationError, match="'fine_tuning', 'replay', 'der', 'gem', 'a_gem'"):
        TypeAdapter(StrategyConfig).validate_python({"kind": "ewk"})
