"""Everything of an inspection that no frame changes, computed once: grids, losses, speckle, scan conversion."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from stream.simulator.beams import Beams
from stream.simulator.domains import DomainSpec
from stream.simulator.geometry import Joint
from stream.simulator.reflectors import Array, Reflectors, decibels

Field = NDArray[np.complex64]
Pixels = NDArray[np.uint8] | NDArray[np.uint16]

REFERENCE_GAIN_DB = 40.0
TEMPLATE_SCALE = 3
"""Size of the speckle template over the grid; frames are cut from it."""


class Instrument:
    """The cached, immutable part of a simulation.

    Parameters
    ----------
    spec : DomainSpec
        The inspection.
    shape : tuple of int
        Rows and columns of the image.
    """

    def __init__(self, spec: DomainSpec, shape: tuple[int, int] = (256, 256)) -> None:
        self.spec = spec
        self.beams = Beams(spec, shape)
        self.joint = Joint.of_domain(spec)
        rng = np.random.default_rng(0)
        grid = (len(self.beams.coordinate), len(self.beams.range_mm))
        self._template = _speckle((TEMPLATE_SCALE * grid[0], TEMPLATE_SCALE * grid[1]), self.beams, rng)
        self._clusters = _clustering(self._template.shape, spec, rng)
        x, z = self.beams.places()
        weld = self.joint.in_weld(x, z)
        level = decibels(spec.grain_noise_db) * np.where(weld, decibels(spec.weld_noise_db), 1.0)
        self._grain_level = np.where(z <= spec.legs * spec.wall_mm + 0.5, level, 0.5 * level).astype(np.float32)
        path = self.beams.path_mm
        self.loss = decibels_of(-2 * spec.attenuation_db_mm * path)
        self.tgc = decibels_of(2 * spec.tgc_db_mm * path)
        self._noise_level = np.float32(decibels(spec.electronic_noise_db))
        wedge = decibels(spec.reverberation_db) * np.exp(-path / (2.0 * self.beams.axial_width + 1.0))
        self._wedge = wedge.astype(np.float32)
        self._display_scale = np.float32(0.5 * decibels(spec.gain_db - REFERENCE_GAIN_DB))

    def grain(self, rng: np.random.Generator) -> Field:
        """Return the backscatter of the metal at one place along the weld, shape ``(beams, ranges)``."""
        field, clusters = self._cut(rng)
        return field * clusters * self._grain_level

    def noise(self, rng: np.random.Generator) -> Field:
        """Return receiver noise, and the echoes inside the wedge; neither is attenuated by the metal."""
        field, _ = self._cut(rng)
        return field * (self._noise_level + self._wedge)

    def echoes(self, reflectors: Reflectors) -> Field:
        """Return the field of point reflectors, before losses."""
        return self.beams.respond(reflectors.x_mm, reflectors.z_mm, reflectors.amplitude)

    def envelope(self, metal: Field, noise: Field, coupling: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the receiver shows for the field of the metal.

        Parameters
        ----------
        metal, noise : NDArray[np.complex64]
            Fields of shape ``(beams, ranges)``.
        coupling : NDArray[np.float32]
            Amplitude factor of each beam, shape ``(beams,)``.
        """
        received = metal * (coupling[:, None] * self.loss) + noise
        envelope: NDArray[np.float32] = np.abs(received) * self.tgc
        return envelope

    def display(self, envelope: NDArray[np.float32]) -> Pixels:
        """Return the image of an envelope, as the instrument's screen shows it."""
        image = self.beams.to_image(envelope) * self._display_scale
        if self.spec.display == "log":
            floor = np.float32(decibels(-self.spec.dynamic_range_db))
            image = 1 + np.log10(np.maximum(image, floor)) * np.float32(20 / self.spec.dynamic_range_db)
        dtype = np.dtype(self.spec.dtype)
        full = np.float32(np.iinfo(dtype).max)
        pixels: Pixels = (np.clip(image, 0, 1) * full + np.float32(0.5)).astype(dtype)
        return pixels

    def outline_mask(self, x_mm: Array, z_mm: Array) -> NDArray[np.bool_]:
        """Return the pixels within half a -6 dB width of any of the points, where a beam reaches them."""
        beams = self.beams
        coordinate, distance = beams.locate(x_mm, z_mm)
        mask = np.zeros(beams.shape, dtype=np.bool_)
        half_b, half_r = beams.lateral_width / 2, max(beams.axial_width / 2, beams.row_mm)
        for b, r in zip(coordinate, distance, strict=True):
            rows, columns = self._window(b, r, half_b, half_r)
            across = (beams.pixel_coordinate[rows, columns] - b) / half_b
            along = (beams.pixel_range[rows, columns] - r) / half_r
            mask[rows, columns] |= across**2 + along**2 <= 1
        mask &= beams.inside
        return mask

    def _window(self, b: float, r: float, half_b: float, half_r: float) -> tuple[slice, slice]:
        """Return the rows and columns that hold the ellipse of a -6 dB response."""
        beams = self.beams
        edge_b = b + half_b * np.array([-1.0, -1.0, 1.0, 1.0, 0.0])
        edge_r = r + half_r * np.array([-1.0, 1.0, -1.0, 1.0, 0.0])
        if beams.sector:
            edge_b = np.clip(edge_b, -1, 1)
            x, z = beams.origin_mm + edge_r * edge_b, edge_r * np.sqrt(1 - edge_b**2)
        else:
            c, s = np.cos(beams.angle), np.sin(beams.angle)
            x, z = edge_b * c + edge_r * s, edge_r * c - edge_b * s
        columns = (x + beams.spec.width_mm / 2) / beams.column_mm
        rows = z / beams.row_mm
        return (
            slice(max(int(rows.min()) - 2, 0), max(int(rows.max()) + 3, 0)),
            slice(max(int(columns.min()) - 2, 0), max(int(columns.max()) + 3, 0)),
        )

    def _cut(self, rng: np.random.Generator) -> tuple[Field, NDArray[np.float32]]:
        beams, ranges = len(self.beams.coordinate), len(self.beams.range_mm)
        b = int(rng.integers(self._template.shape[0] - beams + 1))
        r = int(rng.integers(self._template.shape[1] - ranges + 1))
        turn = np.complex64(np.exp(2j * np.pi * rng.random()))
        window = (slice(b, b + beams), slice(r, r + ranges))
        return self._template[window] * turn, self._clusters[window]


def decibels_of(levels: Array) -> NDArray[np.float32]:
    """Return the amplitude ratios of levels in dB."""
    return (10.0 ** (levels / 20)).astype(np.float32)


def _speckle(shape: tuple[int, int], beams: Beams, rng: np.random.Generator) -> Field:
    """Return fully developed speckle: random scatterers blurred by the point spread, mean square 1.

    The blur is circular, so that the statistics hold up to the edges.
    """
    scatterers = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    step = (beams.coordinate[1] - beams.coordinate[0]) / beams.lateral_width * beams.psf.sine_width
    lateral = beams.psf.lateral(np.fft.fftfreq(shape[0], 1 / shape[0]) * step)
    axial = beams.psf.axial(np.fft.fftfreq(shape[1], 1 / shape[1]) * (beams.range_mm[1] - beams.range_mm[0]))
    blur = np.fft.fft(lateral)[:, None] * np.fft.fft(axial)[None]
    field = np.fft.ifft2(np.fft.fft2(scatterers) * blur)
    return np.asarray(field / np.sqrt(np.mean(np.abs(field) ** 2)), dtype=np.complex64)


def _clustering(shape: tuple[int, ...], spec: DomainSpec, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the local scattering strength: log-normal patches of a few point spreads, mean square 1."""
    if spec.grain_clustering == 0:
        return np.ones(shape, dtype=np.float32)
    pattern = gaussian_filter(rng.standard_normal(shape), (4.0, 9.0), mode="wrap")
    pattern *= np.sqrt(np.log1p(spec.grain_clustering)) / pattern.std()
    strength = np.exp(pattern)
    return np.asarray(np.sqrt(strength / strength.mean()), dtype=np.float32)


@lru_cache(maxsize=16)
def instrument_for(spec: DomainSpec, shape: tuple[int, int] = (256, 256)) -> Instrument:
    """Return the instrument of an inspection, the same immutable one for equal arguments.

    A memo of a pure function: what it returns depends on the arguments alone.
    """
    return Instrument(spec, shape)
