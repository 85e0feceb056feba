"""A scan frame: one image of the weld at one position, with what is needed to read it in millimetres."""

import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

Identifier = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\s/\\]+$")]


class View(StrEnum):
    """The way a frame is laid out, named as phased-array inspectors name it."""

    A_SCAN = "A-scan"
    B_SCAN = "B-scan"
    S_SCAN = "S-scan"
    TFM = "TFM"


class Probe(BaseModel):
    """The ultrasonic array.

    Attributes
    ----------
    model : str
        Manufacturer's designation.
    frequency_mhz : float
        Nominal centre frequency in MHz.
    elements : int
        Number of array elements.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Annotated[str, Field(min_length=1, max_length=100)]
    frequency_mhz: Annotated[float, Field(gt=0, le=100)]
    elements: Annotated[int, Field(gt=0, le=4096)]


class PixelSpacing(BaseModel):
    """Distance between the centres of neighbouring pixels in mm."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    row_mm: Annotated[float, Field(gt=0, le=1000)]
    column_mm: Annotated[float, Field(gt=0, le=1000)]


def derive_domain(procedure: str, probe: Probe, material: str) -> str:
    """Name the domain of frames that come without one.

    The domain is the task descriptor of continual learning: frames that share
    procedure, probe and material are taken to come from one distribution.
    """
    parts = (procedure, probe.model, f"{probe.frequency_mhz:g}MHz", material)
    return "_".join(re.sub(r"[^A-Za-z0-9.+-]+", "-", part).strip("-").lower() or "x" for part in parts)


class Frame(BaseModel):
    """What is known of a frame beside its pixels.

    Attributes
    ----------
    frame_id : str
        Unique for ever; a second frame of the same id is a repetition.
    weld_id : str
        The weld it was taken from; frames of a weld are kept in order.
    position_mm : float
        Position along the weld in mm.
    time : datetime
        When it was acquired, with a time zone, kept as given.
    spacing : PixelSpacing
        Millimetres per pixel.
    view : View
        Layout of the image.
    probe, procedure, material : Probe, str, str
        How it was acquired and on what.
    gain_db : float
        Receiver gain in dB.
    domain : str
        Task descriptor; derived from procedure, probe and material unless given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    frame_id: Identifier
    weld_id: Identifier
    position_mm: Annotated[float, Field(allow_inf_nan=False)]
    time: AwareDatetime
    spacing: PixelSpacing
    view: View
    probe: Probe
    procedure: Annotated[str, Field(min_length=1, max_length=100)]
    material: Annotated[str, Field(min_length=1, max_length=100)]
    gain_db: Annotated[float, Field(allow_inf_nan=False)]
    domain: Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9_.+-]*$")] = ""

    @model_validator(mode="after")
    def _derive_domain(self) -> Self:
        if not self.domain:
            # The only way to set a field of a frozen model while it is being built.
            object.__setattr__(self, "domain", derive_domain(self.procedure, self.probe, self.material))
        return self
