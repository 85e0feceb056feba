"""Streams that can be learned: one module and one config variant for each kind."""

from typing import Annotated, TypeAlias

from pydantic import Field

from learner.lab.streams.base import Domain, Samples, Scenario, Stream
from learner.lab.streams.cifar import CifarConfig
from learner.lab.streams.digits import DigitsConfig
from learner.lab.streams.folders import FolderConfig
from learner.lab.streams.frames import FramesConfig
from learner.lab.streams.recorded import RecordedConfig
from learner.lab.streams.simulated import SimulatorConfig
from learner.lab.streams.tiles import TilesConfig

StreamConfig: TypeAlias = Annotated[
    DigitsConfig | CifarConfig | TilesConfig | SimulatorConfig | FolderConfig | RecordedConfig,
    Field(discriminator="kind"),
]
"""A stream's settings; an unknown ``kind`` fails with the list of those there are."""

__all__ = [
    "CifarConfig",
    "DigitsConfig",
    "Domain",
    "FolderConfig",
    "FramesConfig",
    "RecordedConfig",
    "Samples",
    "Scenario",
    "SimulatorConfig",
    "Stream",
    "StreamConfig",
    "TilesConfig",
]
