"""What every source must do, whatever it reads."""

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from schemas import PixelSpacing, Probe
from schemas.errors import BadPayloadError
from stream.sources import Acquisition, Source
from tests.unit.stream.samples import TIME, speckle

ACQUISITION = Acquisition(
    weld_id="W7",
    spacing=PixelSpacing(row_mm=0.25, column_mm=0.5),
    probe=Probe(model="10L32", frequency_mhz=10, elements=32),
    procedure="PA-2",
    material="steel",
    start_time=TIME,
    gain_db=6.0,
    start_mm=100.0,
    step_mm=1.5,
    step_seconds=0.25,
)


class SourceContract(ABC):
    """Subclass it as ``Test...`` and say how frames are stored and opened."""

    dtype = "uint16"

    @abstractmethod
    def store(self, folder: Path, frames: list[NDArray[np.generic]]) -> Path:
        """Write the frames and return the file that truncation damages."""

    @abstractmethod
    def open(self, folder: Path, acquisition: Acquisition) -> Source: ...

    def frames(self) -> list[NDArray[np.generic]]:
        return [speckle(self.dtype, (12, 15), seed) for seed in range(4)]

    def test_pixels_and_order_survive(self, tmp_path: Path) -> None:
        frames = self.frames()
        self.store(tmp_path, frames)
        source = self.open(tmp_path, ACQUISITION)
        assert len(source) == 4
        # Twice: iterating must not use the source up.
        for _ in range(2):
            found = list(source)
            assert len(found) == 4
            for stored, read in zip(frames, found, strict=True):
                assert read.pixels.dtype == np.dtype(self.dtype)
                np.testing.assert_array_equal(read.pixels, stored)

    def test_units(self, tmp_path: Path) -> None:
        self.store(tmp_path, self.frames())
        third = list(self.open(tmp_path, ACQUISITION))[2].frame
        assert third.position_mm == pytest.approx(103.0)
        assert (third.time - TIME).total_seconds() == pytest.approx(0.5)
        assert (third.spacing.row_mm, third.spacing.column_mm) == (0.25, 0.5)
        assert (third.weld_id, third.gain_db, third.domain) == ("W7", 6.0, "pa-2_10l32_10mhz_steel")

    def test_frame_ids_are_unique_and_repeatable(self, tmp_path: Path) -> None:
        self.store(tmp_path, self.frames())
        ids = [read.frame.frame_id for read in self.open(tmp_path, ACQUISITION)]
        assert len(set(ids)) == 4
        assert ids == [read.frame.frame_id for read in self.open(tmp_path, ACQUISITION)]

    def test_a_truncated_file_is_named(self, tmp_path: Path) -> None:
        damaged = self.store(tmp_path, self.frames())
        content = damaged.read_bytes()
        damaged.write_bytes(content[: len(content) * 2 // 3])
        with pytest.raises(BadPayloadError, match=damaged.name):
            list(self.open(tmp_path, ACQUISITION))

    def test_an_empty_file_is_named(self, tmp_path: Path) -> None:
        damaged = self.store(tmp_path, self.frames())
        damaged.write_bytes(b"")
        with pytest.raises(BadPayloadError, match=damaged.name):
            list(self.open(tmp_path, ACQUISITION))
