"""The same frames for all systems: simulated once, sent under ever new ids."""

from collections.abc import Sequence

from benchmarks.rig import frames
from stream.sources import SourceFrame

SIMULATED = 60
WELD_FRAMES = 3
"""Frames of a weld: short ones, so that those that may be judged by a new version come soon."""


class Scans:
    """Frames to send.

    Parameters
    ----------
    simulated : sequence of SourceFrame
        Whose pixels are sent, in turn.
    """

    def __init__(self, simulated: Sequence[SourceFrame]) -> None:
        self._simulated = simulated

    def take(self, count: int, prefix: str) -> list[SourceFrame]:
        """Return frames whose ids and welds begin with a prefix, always the same pixels in the same order."""
        return [
            SourceFrame(
                scan.frame.model_copy(
                    update={"frame_id": f"{prefix}-{number}", "weld_id": f"{prefix}-{number // WELD_FRAMES}"}
                ),
                scan.pixels,
                None,
            )
            for number in range(count)
            for scan in (self._simulated[number % len(self._simulated)],)
        ]


def simulate() -> Scans:
    """Simulate frames."""
    return Scans(list(frames(SIMULATED, "peers")))
