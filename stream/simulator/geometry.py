"""The sound weld: its cross-section, and the echoes that its shape sends back wherever there is no flaw."""

from dataclasses import dataclass
from math import radians, tan

import numpy as np
from numpy.typing import NDArray

from stream.simulator.domains import DomainSpec
from stream.simulator.reflectors import Reflectors, decibels, fold

Array = NDArray[np.float64]
SPECULAR_DEG = 7.0
"""Standard deviation of the angle around the normal at which a rough surface still reflects."""


@dataclass(frozen=True, slots=True)
class Joint:
    """Cross-section of a single-V butt weld.

    Attributes
    ----------
    wall_mm, root_gap_mm, cap_height_mm : float
        Thickness, gap between the plates at the root, height of the cap.
    bevel : float
        Angle of the bevel from the vertical in radians.
    """

    wall_mm: float
    root_gap_mm: float
    cap_height_mm: float
    bevel: float

    @classmethod
    def of_domain(cls, spec: DomainSpec) -> "Joint":
        """Return the joint that a domain inspects."""
        return cls(spec.wall_mm, spec.root_gap_mm, spec.cap_height_mm, radians(spec.bevel_deg))

    def half_width(self, z_mm: Array | float) -> Array:
        """Return half the width of the weld metal at true depths, in mm."""
        return np.asarray(self.root_gap_mm / 2 + (self.wall_mm - np.asarray(z_mm)) * tan(self.bevel))

    def in_weld(self, x_mm: Array, unfolded_mm: Array) -> NDArray[np.bool_]:
        """Return whether points, at unfolded depths, lie in weld metal."""
        return np.asarray(np.abs(x_mm) <= self.half_width(fold(unfolded_mm, self.wall_mm)))


def geometry_echoes(spec: DomainSpec, joint: Joint, rng: np.random.Generator) -> Reflectors:
    """Return the echoes of root, cap and back wall at one place along the weld.

    Root and cap toes are corners; the back wall is a rough plane that reflects
    fully only at normal incidence and scatters a little elsewhere, so steep
    sectors show a line at the wall thickness and shear sectors a faint one.
    """
    strength = decibels(spec.geometry_db)
    root = joint.root_gap_mm / 2 + 0.3
    xs = [rng.uniform(-root, root, 5), rng.normal(0, 0.2 * root, 2) + root]
    zs = [np.full(5, joint.wall_mm) + rng.uniform(0, 0.6, 5), np.full(2, joint.wall_mm) + 0.2]
    amplitude = [strength * rng.rayleigh(0.18, 5), strength * rng.rayleigh(0.3, 2)]
    if spec.legs > 1:
        cap = float(joint.half_width(0.0))
        inner = rng.uniform(-cap, cap, 9)
        height = joint.cap_height_mm * (1 - (inner / cap) ** 2)
        xs += [inner, np.array([-cap, cap]) + rng.normal(0, 0.3, 2)]
        zs += [2 * joint.wall_mm + height, np.full(2, 2 * joint.wall_mm)]
        amplitude += [strength * rng.rayleigh(0.15, 9), strength * rng.rayleigh(0.22, 2)]
    count = int(spec.width_mm / spec.wavelength_mm * 3)
    wall_x = np.linspace(-spec.width_mm / 2, spec.width_mm / 2, count)
    wall_z = np.full(count, joint.wall_mm)
    incidence = np.arctan2(wall_x + spec.index_offset_mm, wall_z)
    specular = np.exp(-0.5 * (np.degrees(incidence) / (2 * SPECULAR_DEG)) ** 2)
    xs.append(wall_x)
    zs.append(wall_z)
    amplitude.append(decibels(spec.back_wall_db) * (0.35 + 2.0 * specular) * rng.rayleigh(0.5, count))
    phase = np.exp(2j * np.pi * rng.random(sum(map(len, xs))))
    return Reflectors(np.concatenate(xs), np.concatenate(zs), np.concatenate(amplitude) * phase)
