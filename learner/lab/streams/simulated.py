"""The simulator's inspections as a stream."""

import hashlib
from typing import Annotated, Literal

from pydantic import Field

from learner.lab.streams.base import Stream
from learner.lab.streams.frames import Frame, FramesConfig
from schemas.classes import ISO_6520_1
from stream.simulator import DOMAINS, SimulatorSource


class SimulatorConfig(FramesConfig):
    """Simulated scans: weld after weld, inspection after inspection.

    Attributes
    ----------
    domains, welds, frames : int
        Inspections, welds of each, frames of each weld. Whole welds are held out.
    """

    kind: Literal["simulator"] = "simulator"
    domains: Annotated[int, Field(ge=1, le=len(DOMAINS))] = len(DOMAINS)
    welds: Annotated[int, Field(ge=4)] = 16
    frames: Annotated[int, Field(ge=1)] = 16

    @property
    def name(self) -> str:
        """Name for people."""
        return f"simulated welds, {self.domains} inspections"

    def inputs(self) -> str:
        """Return a digest of the inspections."""
        return hashlib.sha256("".join(spec.model_dump_json() for spec in DOMAINS).encode()).hexdigest()

    def open(self, seed: int) -> Stream:
        """Return the stream of a seed."""
        domains: dict[str, list[Frame]] = {spec.name: [] for spec in DOMAINS[: self.domains]}
        source = SimulatorSource(DOMAINS[: self.domains], seed=seed, welds=self.welds, frames_per_weld=self.frames)
        names = iter([name for name in domains for _ in range(self.welds * self.frames)])
        for made in source:
            assert made.mask is not None
            domains[next(names)].append(Frame(made.pixels, made.mask, made.frame.weld_id))
        return self.stream_of(self.name, domains, ("background", *(c.name for c in ISO_6520_1)), seed)
