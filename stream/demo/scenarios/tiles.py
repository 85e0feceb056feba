"""Magnetic tiles under six exposures (Huang et al. 2018): real images, a mild drift, labels from their masks.

Not welds, but the public set nearest to a measured drift with pixel masks:
the same surface under six exposures, train and held-out parts split by tile,
never by image.
"""

import csv
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

from schemas import ClassTable, DefectClass, Frame, PixelSpacing, Probe, View
from schemas.errors import BadPayloadError
from stream.demo.scenarios.base import Shown
from stream.sources import SourceFrame

EXPOSURES = (1, 2, 3, 4, 5, 6)
HELD_OUT_EVERY = 10
HELD_OUT_OF_EVERY = 3
"""Three in ten tile groups are held out."""
MASK_THRESHOLD = 128
SURFACE_DEFECT = ClassTable(classes=(DefectClass(code=1, name="surface defect"),))


@dataclass(frozen=True, slots=True)
class Tile:
    """One image of the set."""

    path: Path
    exposure: int
    group: int
    defective: bool

    @property
    def held_out(self) -> bool:
        """Whether its tile is never labelled."""
        return self.group % HELD_OUT_EVERY < HELD_OUT_OF_EVERY


def read_index(folder: Path) -> list[Tile]:
    """Read ``groups.csv``; images of no exposure (``exp0``) are left out.

    Raises
    ------
    BadPayloadError
        If the folder has no such file.
    """
    index = folder / "groups.csv"
    if not index.is_file():
        raise BadPayloadError(f"{folder} holds no groups.csv")
    with index.open(newline="") as lines:
        return [
            Tile(
                path=folder / row["path"],
                exposure=int(row["exposure"]),
                group=int(row["tile_group"]),
                defective=row["class"] != "Free",
            )
            for row in csv.DictReader(lines)
            if int(row["exposure"]) in EXPOSURES
        ]


class Tiles:
    """Six exposures, one after the other.

    Parameters
    ----------
    folder : Path
        Where the set lies.
    seed : int
        Of the order in which tiles are shown.
    held_out_share : float
        Share of held-out tiles in the stream.
    run_id : str
        Makes ids unique between runs on one broker.
    exam_frames : int
        Most held-out tiles of an exam; defective ones come first.
    """

    def __init__(self, folder: Path, *, seed: int, held_out_share: float, run_id: str, exam_frames: int) -> None:
        self._share = held_out_share
        self._run_id = run_id
        self._exam_frames = exam_frames
        shuffled = read_index(folder)
        np.random.default_rng(seed).shuffle(shuffled)
        self._learned = [[t for t in shuffled if t.exposure == e and not t.held_out] for e in EXPOSURES]
        self._held_out = [
            sorted((t for t in shuffled if t.exposure == e and t.held_out), key=lambda t: not t.defective)
            for e in EXPOSURES
        ]

    @property
    def classes(self) -> ClassTable:
        """Defect or not."""
        return SURFACE_DEFECT

    @property
    def domains(self) -> Sequence[str]:
        """One for each exposure, the darkest first."""
        return tuple(f"tile-exposure-{e}" for e in EXPOSURES)

    def first_labels(self) -> Iterator[SourceFrame]:
        """Yield the labelled tiles of the first exposure."""
        return (self._scan(tile, "first") for tile in self._learned[0])

    def stream(self, domain: int) -> Iterator[Shown]:
        """Yield the tiles of an exposure, held-out ones of the exposures up to it among them."""
        labelled = itertools.cycle(self._learned[domain])
        # A tile of each exposure in turn.
        held_out = itertools.chain.from_iterable(zip(*map(itertools.cycle, self._held_out[: domain + 1]), strict=True))
        owed = 0.0
        for number in itertools.count():
            owed += self._share
            hold = owed >= 1
            owed -= hold
            yield Shown(self._scan(next(held_out if hold else labelled), f"stream-{domain}-{number}"), held_out=hold)

    def exam(self, domain: int, exam: str) -> Iterator[Shown]:
        """Yield the held-out tiles of an exposure."""
        for tile in self._held_out[domain][: self._exam_frames]:
            yield Shown(self._scan(tile, exam), held_out=True, exam=exam)

    def _scan(self, tile: Tile, purpose: str) -> SourceFrame:
        with Image.open(tile.path) as image:
            pixels = np.asarray(image.convert("L"))
        with Image.open(tile.path.with_suffix(".png")) as image:
            mask = (np.asarray(image.convert("L")) >= MASK_THRESHOLD).astype(np.uint8)
        run = "first" if purpose == "first" else self._run_id
        frame = Frame(
            frame_id=f"{run}-{purpose}-{tile.path.stem}",
            weld_id=f"{run}-tile-{tile.group}-exposure-{tile.exposure}",
            position_mm=0.0,
            time=datetime.now(UTC),
            spacing=PixelSpacing(row_mm=0.1, column_mm=0.1),  # the set gives no scale
            view=View.B_SCAN,
            probe=Probe(model="camera", frequency_mhz=1.0, elements=1),
            procedure="magnetic-tile",
            material="ferrite",
            gain_db=0.0,
            domain=self.domains[tile.exposure - 1],
        )
        return SourceFrame(frame, pixels, mask)
