"""``weldstream replay``: publish files as frames."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from schemas.frames import PixelSpacing, Probe, View
from stream.commands.publishing import publish
from stream.commands.settings import CommandSettings
from stream.sources import Acquisition, open_source


def replay_command(  # noqa: PLR0917 - the command line passes options by name
    source: Annotated[
        Path,
        typer.Argument(exists=True, help="Folder of images, TIFF file, or file of raw samples.", show_default=False),
    ],
    weld: Annotated[str | None, typer.Option(help="Weld id; default: the name of SOURCE and the time.")] = None,
    speed: Annotated[
        float | None, typer.Option(help="Event seconds per wall second; default: as fast as possible.")
    ] = None,
    dtype: Annotated[Literal["uint8", "uint16", "float32"] | None, typer.Option(help="Of raw samples.")] = None,
    shape: Annotated[str | None, typer.Option(help="Rows,columns of raw samples, for example 256,256.")] = None,
    big_endian: Annotated[bool, typer.Option("--big-endian", help="Byte order of raw samples.")] = False,
    row_mm: Annotated[float, typer.Option(help="Row spacing in mm.")] = 0.1,
    column_mm: Annotated[float, typer.Option(help="Column spacing in mm.")] = 0.1,
    step_mm: Annotated[float, typer.Option(help="From frame to frame along the weld, in mm.")] = 1.0,
    step_seconds: Annotated[float, typer.Option(help="From frame to frame, in event seconds.")] = 0.1,
    view: Annotated[View, typer.Option(help="Layout of the images.")] = View.B_SCAN,
    probe_model: Annotated[str, typer.Option(help="Designation of the array.")] = "unknown",
    probe_mhz: Annotated[float, typer.Option(help="Frequency in MHz.")] = 5.0,
    probe_elements: Annotated[int, typer.Option(help="Elements of the array.")] = 64,
    procedure: Annotated[str, typer.Option(help="Inspection procedure.")] = "replay",
    material: Annotated[str, typer.Option(help="Material inspected.")] = "steel",
    gain_db: Annotated[float, typer.Option(help="Receiver gain in dB.")] = 0.0,
    domain: Annotated[str, typer.Option(help="Domain; default: from procedure, probe and material.")] = "",
) -> None:
    """Publish SOURCE to the frames topic."""
    now = datetime.now(UTC)
    acquisition = Acquisition(
        weld_id=weld or f"{source.resolve().stem.replace(' ', '-')}-{now:%Y%m%dT%H%M%S}",
        spacing=PixelSpacing(row_mm=row_mm, column_mm=column_mm),
        probe=Probe(model=probe_model, frequency_mhz=probe_mhz, elements=probe_elements),
        procedure=procedure,
        material=material,
        start_time=now,
        view=view,
        gain_db=gain_db,
        domain=domain,
        step_mm=step_mm,
        step_seconds=step_seconds,
    )
    if not source.is_dir() and source.suffix.lower() not in {".tif", ".tiff"} and (dtype is None or shape is None):
        raise typer.BadParameter("a file of raw samples needs --dtype and --shape", param_hint="SOURCE")
    opened = open_source(
        source, acquisition, dtype=dtype, shape=_shape(shape), byte_order="big" if big_endian else "little"
    )
    count = asyncio.run(
        publish(CommandSettings().kafka, opened, origin="weldstream/replay", total=len(opened), speed=speed)
    )
    typer.echo(f"{count} frames of weld {acquisition.weld_id} published")


def _shape(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    try:
        rows, columns = (int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not ROWS,COLUMNS", param_hint="--shape") from None
    return rows, columns
