"""Real phased-array B-scans of a butt weld (Virkkunen et al., ML-NDT), after simulated welds that teach the model.

Ten frames of one weld prove that real data loads, flows, is judged, flagged,
labelled and learned; they are too few to claim accuracy.
"""

import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas import ClassTable, Frame, PixelSpacing, Probe, View
from schemas.errors import BadPayloadError
from stream.demo.scenarios.base import Scenario, Shown
from stream.sources import SourceFrame

SHAPE = (256, 256)
CRACK = 1
"""Mask value: the implanted flaws are thermal fatigue cracks."""
FLAW_AMPLITUDE = 500
"""Difference to the flawless background, in units of the converter, above which a pixel shows the flaw."""


def read_frames(folder: Path) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Read a folder of ML-NDT.

    Returns
    -------
    pixels : (N, 256, 256) uint16
        Rows are sound path, columns scan position.
    flawed : (N,) bool
        Whether a flaw is implanted.

    Raises
    ------
    BadPayloadError
        If there is no ``*.bins`` file with a ``*.labels`` file of as many
        frames beside it.
    """
    files = sorted(folder.glob("*.bins"))
    if not files:
        raise BadPayloadError(f"{folder} holds no *.bins file")
    samples = np.fromfile(files[0], dtype="<u2")
    if samples.size % (SHAPE[0] * SHAPE[1]):
        raise BadPayloadError(f"{files[0].name} is no whole number of {SHAPE[0]} x {SHAPE[1]} frames: truncated?")
    pixels = samples.reshape(-1, *SHAPE).astype(np.uint16)
    lines = files[0].with_suffix(".labels").read_text().split("\n")
    flawed = np.array([line.split("\t")[0] == "1" for line in lines if line.strip()])
    if len(flawed) != len(pixels):
        raise BadPayloadError(f"{files[0].name} has {len(pixels)} frames but {len(flawed)} labels")
    return pixels, flawed


def flaw_masks(pixels: NDArray[np.uint16], flawed: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return where each frame differs from the background that all share.

    Some frames are mirrored along the scan; each is compared with the
    background as it lies nearer to it. Shape as ``pixels``, values 0 and 1.
    """
    background = np.median(pixels.astype(np.float32), axis=0)
    masks = np.zeros(pixels.shape, np.uint8)
    for index in np.flatnonzero(flawed):
        frame = pixels[index].astype(np.float32)
        difference = min((np.abs(frame - background), np.abs(frame - background[:, ::-1])), key=np.mean)
        masks[index] = np.where(difference > FLAW_AMPLITUDE, CRACK, 0)
    return masks


class MlNdt:
    """One simulated domain, then the measured one.

    Parameters
    ----------
    before : Scenario
        Its first domain comes first and teaches the first model.
    folder : Path
        Where ML-NDT lies.
    run_id : str
        Makes ids unique between runs on one broker.
    """

    NAME = "ml-ndt"

    def __init__(self, before: Scenario, folder: Path, *, run_id: str) -> None:
        self._before = before
        self._run_id = run_id
        self._pixels, flawed = read_frames(folder)
        self._masks = flaw_masks(self._pixels, flawed)

    @property
    def classes(self) -> ClassTable:
        """The classes of the simulated domain."""
        return self._before.classes

    @property
    def domains(self) -> Sequence[str]:
        """The simulated domain and the measured one."""
        return (self._before.domains[0], self.NAME)

    def first_labels(self) -> Iterator[SourceFrame]:
        """Yield labelled frames of the simulated domain."""
        return self._before.first_labels()

    def stream(self, domain: int) -> Iterator[Shown]:
        """Yield simulated frames, then the measured ones again and again."""
        if domain == 0:
            yield from self._before.stream(0)
        for turn in itertools.count():
            for scan in self._scans(f"stream-{turn}"):
                yield Shown(scan, held_out=False)

    def exam(self, domain: int, exam: str) -> Iterator[Shown]:
        """Yield the frames of an exam; those of the measured weld are also learned, for want of others."""
        if domain == 0:
            yield from self._before.exam(0, exam)
            return
        for scan in self._scans(exam):
            yield Shown(scan, held_out=True, exam=exam)

    def _scans(self, purpose: str) -> Iterator[SourceFrame]:
        for index, (pixels, mask) in enumerate(zip(self._pixels, self._masks, strict=True)):
            weld = f"{self._run_id}-ml-ndt-{purpose}"
            frame = Frame(
                frame_id=f"{weld}-{index}",
                weld_id=weld,
                position_mm=float(index),
                time=datetime.now(UTC),
                # The set gives no scale: a column is about a twentieth of its location unit.
                spacing=PixelSpacing(row_mm=0.1, column_mm=0.5),
                view=View.B_SCAN,
                probe=Probe(model="ML-NDT", frequency_mhz=1.8, elements=16),
                procedure="ML-NDT",
                material="316L",
                gain_db=0.0,
                domain=self.NAME,
            )
            yield SourceFrame(frame, pixels, mask)
