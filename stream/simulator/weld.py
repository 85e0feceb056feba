"""Frames along one weld, in the order in which a scanner takes them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from schemas import Frame, PixelSpacing
from stream.simulator.domains import DomainSpec
from stream.simulator.flaws import MAKERS, Flaw, Placement
from stream.simulator.geometry import geometry_echoes
from stream.simulator.instrument import Field, Instrument, instrument_for
from stream.sources.base import SourceFrame

Seed = int | Sequence[int]

ALL_CLASSES = (1, 2, 3, 4, 5)
START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
SCAN_SPEED_MM_S = 25.0
NODE_MM = 6.0
"""Along the weld, after which the beam sees other grains: about the beam's width across the scan plane."""

FLAW_FRAMES = (5, 11)
GAP_FRAMES = (3, 15)


def simulate_weld(
    spec: DomainSpec,
    *,
    seed: Seed,
    frames: int,
    weld_id: str,
    start_time: datetime = START,
    classes: Sequence[int] = ALL_CLASSES,
    shape: tuple[int, int] = (256, 256),
) -> Iterator[SourceFrame]:
    """Simulate the scan of one weld.

    Parameters
    ----------
    spec : DomainSpec
        The inspection.
    seed : int or sequence of int
        The same arguments give the same bytes; welds need different seeds.
    frames : int
        Number of frames, ``spec.step_mm`` apart.
    weld_id : str
        The weld; frame ids are derived from it.
    start_time : datetime
        Time of the first frame; the scanner moves at 25 mm/s.
    classes : sequence of int
        Mask values of the flaws that may occur; empty for a sound weld.
    shape : tuple of int
        Rows and columns.

    Yields
    ------
    SourceFrame
        Frame, pixels of ``spec.dtype``, and the uint8 mask: 0 background,
        1 to 5 as :data:`schemas.ISO_6520_1` orders the classes.
    """
    instrument = instrument_for(spec, shape)
    layout, texture, coupling, noise = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(4))
    flaws = place_flaws(instrument, frames, classes, layout)
    field_of = _Background(instrument, texture)
    coupling_of = _Coupling(instrument, coupling)
    spacing = PixelSpacing(row_mm=instrument.beams.row_mm, column_mm=instrument.beams.column_mm)
    for number in range(frames):
        position = number * spec.step_mm
        metal = field_of(position)
        mask = np.zeros(shape, dtype=np.uint8)
        for flaw in flaws:
            scale = flaw.scale(position)
            if scale > 0:
                metal = metal + instrument.echoes(flaw.echoes(scale))
                mask[instrument.outline_mask(*flaw.outline(scale))] = flaw.mask_value
        envelope = instrument.envelope(metal, instrument.noise(noise), coupling_of(position))
        frame = Frame(
            frame_id=f"{weld_id}-{number:04d}",
            weld_id=weld_id,
            position_mm=position,
            time=start_time + timedelta(seconds=position / SCAN_SPEED_MM_S),
            spacing=spacing,
            view=spec.view,
            probe=spec.probe,
            procedure=spec.procedure,
            material=spec.material,
            gain_db=spec.gain_db,
        )
        yield SourceFrame(frame, instrument.display(envelope), mask)


def place_flaws(
    instrument: Instrument, frames: int, classes: Sequence[int], rng: np.random.Generator
) -> tuple[Flaw, ...]:
    """Return the flaws of a weld: one after another with sound metal between, all classes in turn."""
    spec = instrument.spec
    flaws: list[Flaw] = []
    order: list[int] = []
    start = int(rng.integers(0, GAP_FRAMES[1]))
    while classes and start < frames:
        if not order:
            order = [int(c) for c in rng.permutation(np.asarray(classes))]
        length = int(rng.integers(*FLAW_FRAMES))
        centre = (start + (length - 1) / 2) * spec.step_mm
        placement = Placement(instrument.beams, instrument.joint, centre, length * spec.step_mm)
        flaws.append(MAKERS[order.pop()](placement, rng))
        start += length + int(rng.integers(*GAP_FRAMES))
    return tuple(flaws)


class _Background:
    """The field of the sound weld: grain and geometry change smoothly along it.

    Independent fields at nodes are mixed with weights whose squares sum to 1,
    which keeps the speckle's statistics at every position.
    """

    def __init__(self, instrument: Instrument, rng: np.random.Generator) -> None:
        self._instrument = instrument
        self._rng = rng
        self._number = 0
        self._pair = (self._node(), self._node())

    def __call__(self, position_mm: float) -> Field:
        """Return the field at a position; positions must not decrease."""
        number = int(position_mm // NODE_MM)
        while number > self._number:
            self._pair = (self._pair[1], self._node())
            self._number += 1
        angle = 0.5 * np.pi * (position_mm / NODE_MM - number)
        return self._pair[0] * np.float32(np.cos(angle)) + self._pair[1] * np.float32(np.sin(angle))

    def _node(self) -> Field:
        instrument = self._instrument
        echoes = geometry_echoes(instrument.spec, instrument.joint, self._rng)
        return instrument.grain(self._rng) + instrument.echoes(echoes)


class _Coupling:
    """Amplitude factor of each beam: a few waves along the weld and across the beams, in dB."""

    WAVES = 6

    def __init__(self, instrument: Instrument, rng: np.random.Generator) -> None:
        self._beams = np.linspace(0, 1, len(instrument.beams.coordinate))
        self._amplitude = instrument.spec.coupling_db * np.sqrt(2 / self.WAVES)
        self._along = 2 * np.pi / rng.uniform(8, 60, self.WAVES)
        self._across = rng.uniform(-12, 12, self.WAVES)
        self._phase = rng.uniform(0, 2 * np.pi, self.WAVES)

    def __call__(self, position_mm: float) -> NDArray[np.float32]:
        """Return the factors at a position, shape ``(beams,)``."""
        waves = np.cos(self._along * position_mm + self._phase + self._across * self._beams[:, None])
        level = self._amplitude * waves.sum(axis=1)
        return np.asarray(10.0 ** (level / 20), dtype=np.float32)
