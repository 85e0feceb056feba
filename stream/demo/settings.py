"""How long the demo runs and what it shows."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from schemas.settings import Section


class DemoSettings(Section):
    """Plan of a demo run.

    Attributes
    ----------
    domains : int
        How many simulated domains the scans drift through.
    seconds_per_domain : float
        Streaming time of each, its exam included.
    frames_per_second : float
        Rate at which frames are published.
    held_out_share : float
        Share of the frames that come from welds nobody ever labels; they
        return to every domain seen so far and are what the Dice is measured on.
    exam_frames : int
        Held-out frames of a domain that are judged when it begins and at the
        end.
    audit_rate : float
        Share of the unflagged frames that are sent to the inspector.
    first_model_seconds : float
        Longest training of the first model.
    exam_in_flight : int
        Most frames of an exam that are sent but not judged by both models.
    patience_seconds : float
        How long the end waits for a judgement before it gives up.
    seed : int
        Of the simulator.
    report_dir : Path
        Where the report is written.
    """

    domains: Annotated[int, Field(ge=1)] = 4
    seconds_per_domain: Annotated[float, Field(gt=0)] = 62.0
    frames_per_second: Annotated[float, Field(gt=0)] = 5.0
    held_out_share: Annotated[float, Field(gt=0, lt=1)] = 0.3
    exam_frames: Annotated[int, Field(ge=1)] = 48
    audit_rate: Annotated[float, Field(ge=0, le=1)] = 0.2
    first_model_seconds: Annotated[float, Field(gt=0)] = 80.0
    exam_in_flight: Annotated[int, Field(ge=1)] = 3
    patience_seconds: Annotated[float, Field(gt=0)] = 60.0
    seed: int = 7
    report_dir: Path = Path()
