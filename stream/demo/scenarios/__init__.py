"""What the demo can show; one file each."""

from stream.demo.scenarios.base import Scenario, Shown
from stream.demo.scenarios.ml_ndt import MlNdt
from stream.demo.scenarios.simulated import Simulated
from stream.demo.scenarios.tiles import Tiles

__all__ = ["MlNdt", "Scenario", "Shown", "Simulated", "Tiles"]
