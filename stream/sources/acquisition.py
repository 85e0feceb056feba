"""What files do not say: how their images were acquired."""

from datetime import timedelta
from typing import Annotated

from pydantic import AwareDatetime, Field

from schemas.frames import Frame, Identifier, PixelSpacing, Probe, View
from schemas.settings import Section


class Acquisition(Section):
    """Metadata common to the frames of a source, and how position and time advance from frame to frame.

    Frame ids are made of the weld id and the frame's number, so that the same
    source replayed under the same weld id gives the same frames again.
    """

    weld_id: Identifier
    spacing: PixelSpacing
    probe: Probe
    procedure: Annotated[str, Field(min_length=1)]
    material: Annotated[str, Field(min_length=1)]
    start_time: AwareDatetime
    view: View = View.B_SCAN
    gain_db: float = 0.0
    domain: str = ""
    start_mm: float = 0.0
    step_mm: float = 1.0
    step_seconds: Annotated[float, Field(ge=0)] = 0.1

    def frame(self, index: int) -> Frame:
        """Return the metadata of the frame of this number, counted from 0."""
        return Frame(
            frame_id=f"{self.weld_id}-{index:06d}",
            weld_id=self.weld_id,
            position_mm=self.start_mm + index * self.step_mm,
            time=self.start_time + timedelta(seconds=index * self.step_seconds),
            spacing=self.spacing,
            view=self.view,
            probe=self.probe,
            procedure=self.procedure,
            material=self.material,
            gain_db=self.gain_db,
            domain=self.domain,
        )
