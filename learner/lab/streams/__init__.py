"""Streams that can be learned: one module and one config variant for each kind."""

from typing import Annotated, TypeAlias

from pydantic import Field

from learner.lab.streams.base import Domain, Samples, Scenario, Stream
from learner.lab.streams.digits import DigitsConfig

StreamConfig: TypeAlias = Annotated[DigitsConfig, Field(discriminator="kind")]
"""A stream's settings; an unknown ``kind`` fails with the list of those there are."""

__all__ = ["DigitsConfig", "Domain", "Samples", "Scenario", "Stream", "StreamConfig"]
