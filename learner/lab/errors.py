"""What can be wrong with an experiment."""

from typing import ClassVar

from schemas.errors import WeldstreamError


class BadExperimentError(WeldstreamError):
    """An experiment that cannot be run as it is written."""

    reason: ClassVar[str] = "bad_experiment"
