import pytest
from pydantic import TypeAdapter, ValidationError

from learner.strategies import StrategyConfig
from learner.strategies.fine_tuning import FineTuningConfig
from learner.strategies.gem import GemConfig
from learner.strategies.replay import ReplayConfig
from tests.contracts.strategy import StrategyContract


@pytest.mark.parametrize("config", [FineTuningConfig(), ReplayConfig(), GemConfig(), GemConfig(replay=False)], ids=repr)
class TestStrategies(StrategyContract):
    pass


def test_an_unknown_strategy_names_those_there_are() -> None:
    with pytest.raises(ValidationError, match="'fine_tuning', 'replay', 'gem'"):
        TypeAdapter(StrategyConfig).validate_python({"kind": "ewk"})
