"""The beams of a scan: their grid, where a point of the metal lies on it, and the way from beams to pixels."""

from math import ceil, cos, radians, sin

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from schemas import View
from stream.simulator.domains import DomainSpec
from stream.simulator.point_spread import PointSpread

Array = NDArray[np.float64]
SAMPLES_PER_WIDTH = 5
"""Grid points in a -6 dB width: enough for bilinear interpolation of an envelope."""

FOCUS_IN_WALLS = 1.3
"""Depth at which a linear scan is focused, in wall thicknesses."""


class Beams:
    """The grid (beam, range) in which the sound field is computed.

    A sector's beams are evenly spaced in the sine of their angle, so that the
    point spread is the same everywhere on the grid. A linear scan's beams are
    parallel; its grid is turned with them, one axis across and one along the
    beams. It is focused at one range, and its width there is used at all.

    Parameters
    ----------
    spec : DomainSpec
        The inspection.
    shape : tuple of int
        Rows and columns of the image.

    Attributes
    ----------
    coordinate, range_mm : NDArray[np.float64]
        Of the grid: sine of the angle (or mm across the beams), shape
        ``(beams,)``, and mm along the beams, shape ``(ranges,)``.
    path_mm : NDArray[np.float64]
        Sound path one way from the surface, shape ``(beams, ranges)``.
    lateral_width, axial_width : float
        -6 dB widths in units of the two coordinates.
    inside : NDArray[np.bool_]
        Pixels that a beam reaches, of the image's shape.
    """

    def __init__(self, spec: DomainSpec, shape: tuple[int, int]) -> None:
        self.spec = spec
        self.shape = shape
        self.psf = PointSpread.of_domain(spec)
        self.sector = spec.view is View.S_SCAN
        self.origin_mm = -spec.index_offset_mm
        self.angle = radians((spec.angle_min_deg + spec.angle_max_deg) / 2)
        self.row_mm, self.column_mm = spec.depth_mm / shape[0], spec.width_mm / shape[1]
        self.axial_width = self.psf.axial_width_mm
        half = spec.width_mm / 2
        if self.sector:
            self._unit, near = 1.0, 0.0
            low, high = sin(radians(spec.angle_min_deg)), sin(radians(spec.angle_max_deg))
            far = min(spec.depth_mm / cos(radians(spec.angle_max_deg)), np.hypot(half - self.origin_mm, spec.depth_mm))
        else:
            self._unit = FOCUS_IN_WALLS * spec.wall_mm / cos(self.angle)
            low, high = -half * cos(self.angle) - spec.depth_mm * sin(self.angle), half * cos(self.angle)
            near, far = -half * sin(self.angle), half * sin(self.angle) + spec.depth_mm * cos(self.angle)
        self.lateral_width = self.psf.sine_width * self._unit
        beams = ceil((high - low) / self.lateral_width * SAMPLES_PER_WIDTH) + 1
        ranges = ceil((far - near) / self.axial_width * SAMPLES_PER_WIDTH) + 1
        self.coordinate = np.linspace(low, high, beams)
        self.range_mm = np.linspace(near, far, ranges)
        self.path_mm = self._paths()
        rows, columns = np.mgrid[: shape[0], : shape[1]]
        depth = (rows + 0.5) * self.row_mm
        across = (columns + 0.5) * self.column_mm - half
        self.pixel_coordinate, self.pixel_range = self.locate(across, depth)
        self.inside = self.reaches(across, depth)
        self._to_pixels = self._interpolation()

    def locate(self, x_mm: Array, z_mm: Array) -> tuple[Array, Array]:
        """Return the grid coordinates of points: x from the weld's centre line, z the unfolded depth, both in mm."""
        if self.sector:
            distance = np.hypot(x_mm - self.origin_mm, z_mm)
            return (x_mm - self.origin_mm) / np.maximum(distance, 1e-9), distance
        across, along = cos(self.angle), sin(self.angle)
        return x_mm * across - z_mm * along, x_mm * along + z_mm * across

    def reaches(self, x_mm: Array, z_mm: Array) -> NDArray[np.bool_]:
        """Return whether a beam meets each point, at its unfolded depth."""
        coordinate, distance = self.locate(x_mm, z_mm)
        low, high = self.coordinate[0], self.coordinate[-1]
        return np.asarray((coordinate >= low) & (coordinate <= high) & (distance <= self.range_mm[-1]))

    def places(self) -> tuple[Array, Array]:
        """Return x and unfolded depth in mm of all grid points, each of shape ``(beams, ranges)``."""
        across, along = np.broadcast_arrays(self.coordinate[:, None], self.range_mm[None])
        if self.sector:
            return self.origin_mm + along * across, along * np.sqrt(1 - across**2)
        c, s = cos(self.angle), sin(self.angle)
        return across * c + along * s, along * c - across * s

    def _paths(self) -> Array:
        if self.sector:
            return np.repeat(self.range_mm[None], len(self.coordinate), axis=0)
        return np.maximum(self.places()[1] / cos(self.angle), 0.0)

    def beam_angle(self, x_mm: Array, z_mm: Array) -> Array:
        """Return the angle from the vertical, in radians, of the beam that meets each point."""
        if self.sector:
            return np.arctan2(x_mm - self.origin_mm, z_mm)
        return np.full_like(x_mm, self.angle)

    def respond(self, x_mm: Array, z_mm: Array, amplitude: NDArray[np.complex128]) -> NDArray[np.complex64]:
        """Return the field of point reflectors, shape ``(beams, ranges)``, without losses on the way."""
        coordinate, distance = self.locate(x_mm, z_mm)
        lateral = self.psf.lateral((self.coordinate[None] - coordinate[:, None]) / self._unit)
        axial = self.psf.axial(self.range_mm[None] - distance[:, None])
        phase = np.exp(-4j * np.pi / self.spec.wavelength_mm * distance)
        weighted = lateral * (amplitude * phase)[:, None]
        field: NDArray[np.complex64] = weighted.astype(np.complex64).T @ axial.astype(np.float32)
        return field

    def to_image(self, envelope: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scan-convert an envelope ``(beams, ranges)`` to the image; 0 where no beam reaches."""
        image: NDArray[np.float32] = (self._to_pixels @ envelope.ravel()).reshape(self.shape)
        return image

    def _interpolation(self) -> sparse.csr_matrix:
        beams, ranges = len(self.coordinate), len(self.range_mm)
        pixels = np.flatnonzero(self.inside)
        b = (self.pixel_coordinate.ravel()[pixels] - self.coordinate[0]) / (self.coordinate[1] - self.coordinate[0])
        r = (self.pixel_range.ravel()[pixels] - self.range_mm[0]) / (self.range_mm[1] - self.range_mm[0])
        b0 = np.clip(b.astype(np.int32), 0, beams - 2)
        r0 = np.clip(r.astype(np.int32), 0, ranges - 2)
        fb, fr = b - b0, r - r0
        corners = [(b0 + i) * ranges + r0 + j for i in (0, 1) for j in (0, 1)]
        weights = [(1 - fb) * (1 - fr), (1 - fb) * fr, fb * (1 - fr), fb * fr]
        entries = (np.concatenate(weights).astype(np.float32), (np.tile(pixels, 4), np.concatenate(corners)))
        return sparse.csr_matrix(entries, shape=(self.inside.size, beams * ranges))
