"""Simulated scans as a source: weld after weld, inspection after inspection."""

from collections.abc import Iterator, Sequence

from stream.simulator.domains import DomainSpec
from stream.simulator.weld import simulate_weld
from stream.sources.base import SourceFrame


class SimulatorSource:
    """Scans of several inspections, one after the other.

    Parameters
    ----------
    specs : sequence of DomainSpec
        Inspections in the order in which they come.
    seed : int
        The same arguments give the same frames.
    welds : int
        Welds of each inspection.
    frames_per_weld : int
        Frames of each weld.
    """

    def __init__(self, specs: Sequence[DomainSpec], *, seed: int, welds: int, frames_per_weld: int) -> None:
        self.specs = tuple(specs)
        self.seed = seed
        self.welds = welds
        self.frames_per_weld = frames_per_weld

    def __iter__(self) -> Iterator[SourceFrame]:
        """Iterate over the frames from the start, in the order of acquisition."""
        for domain, spec in enumerate(self.specs):
            for weld in range(self.welds):
                yield from simulate_weld(
                    spec,
                    seed=(self.seed, domain, weld),
                    frames=self.frames_per_weld,
                    weld_id=f"weld-{self.seed}-{domain}-{weld}",
                )

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.specs) * self.welds * self.frames_per_weld
