"""Imperfections of every class of ISO 6520-1 that the service knows, with the physics of their echoes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import cos, pi, sin, sqrt

import numpy as np
from numpy.typing import NDArray

from stream.simulator.beams import Beams
from stream.simulator.domains import DomainSpec
from stream.simulator.geometry import SPECULAR_DEG, Joint
from stream.simulator.reflectors import Array, Reflectors, decibels, unfold

CRACK, GAS_PORE, SOLID_INCLUSION, LACK_OF_FUSION, INCOMPLETE_PENETRATION = range(1, 6)
"""Mask values, in the order of :data:`schemas.ISO_6520_1`."""

SECOND_LEG_DB = -3.0
TIP_DB = -11.0
"""A diffracted tip echo against the corner echo of the same crack; 10 to 20 dB in textbooks."""

POINTS = 40

TRIES = 500


@dataclass(frozen=True, slots=True)
class Flaw:
    """One imperfection of a weld.

    Attributes
    ----------
    mask_value : int
        Its class, 1 to 5.
    centre_mm, length_mm : float
        Along the weld.
    size_mm : float
        Largest size in the cross-section, at the centre.
    echoes : callable
        From a scale in (0, 1] (size at a position over the largest) to the
        reflectors seen.
    outline : callable
        From a scale to the points (x, unfolded depth) in mm of its extent, on
        every leg that shows it.
    """

    mask_value: int
    centre_mm: float
    length_mm: float
    size_mm: float
    echoes: Callable[[float], Reflectors] = field(repr=False)
    outline: Callable[[float], tuple[Array, Array]] = field(repr=False)

    def scale(self, position_mm: float) -> float:
        """Return the size at a position along the weld over the largest; 0 where the flaw is not."""
        off = 2 * (position_mm - self.centre_mm) / self.length_mm
        return sqrt(1 - 0.75 * off * off) if abs(off) <= 1 else 0.0


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a flaw lies along the weld, and what surrounds it."""

    beams: Beams
    joint: Joint
    centre_mm: float
    length_mm: float

    @property
    def spec(self) -> DomainSpec:
        """The inspection."""
        return self.beams.spec

    def legs_to(self, x_mm: float, z_mm: float) -> tuple[int, ...]:
        """Return the legs on which a beam reaches a point of the metal."""
        legs = range(1, self.spec.legs + 1)
        x = np.array([x_mm])
        return tuple(n for n in legs if self.beams.reaches(x, unfold(np.array([z_mm]), self.joint.wall_mm, n))[0])

    def somewhere(self, size_mm: float, rng: np.random.Generator) -> tuple[float, float]:
        """Return a centre in the weld metal that a beam reaches, with room for a size.

        Raises
        ------
        ValueError
            If no beam reaches the weld metal.
        """
        low, high = 0.15 * self.joint.wall_mm + size_mm / 2, 0.82 * self.joint.wall_mm - size_mm / 2
        for _ in range(TRIES):
            z = rng.uniform(low, max(low, high))
            room = max(0.2, float(self.joint.half_width(z)) - size_mm / 2)
            x = rng.uniform(-room, room)
            if self.legs_to(x, z):
                return x, z
        raise ValueError(f"no beam of {self.spec.name!r} reaches the weld metal")

    def flaw(
        self,
        mask_value: int,
        size_mm: float,
        echoes: Callable[[float], Reflectors],
        outline: Callable[[float], tuple[Array, Array]],
    ) -> Flaw:
        """Return the flaw of this place."""
        return Flaw(mask_value, self.centre_mm, self.length_mm, size_mm, echoes, outline)


def _phases(rng: np.random.Generator, count: int) -> NDArray[np.complex128]:
    return np.asarray(np.exp(2j * pi * rng.random(count)))


def crack(place: Placement, rng: np.random.Generator) -> Flaw:
    """Surface-breaking crack: a corner echo at its foot, a weak tip, hardly anything between."""
    joint, spec = place.joint, place.spec
    height = rng.uniform(0.18, 0.35) * joint.wall_mm
    at_cap = spec.legs > 1 and rng.random() < 0.35  # noqa: PLR2004
    side = rng.choice((-1, 1))
    foot_z = 2 * joint.wall_mm if at_cap else joint.wall_mm
    edge = float(joint.half_width(0.0)) if at_cap else joint.root_gap_mm / 2
    foot_x = side * (edge + rng.uniform(0.5, 2.0))
    lean = rng.uniform(-0.25, 0.25)
    corner, phase = decibels(rng.uniform(1, 4)), _phases(rng, 9)
    # Kinks of the face between foot and tip glint a little.
    kinks = decibels(-17) * rng.rayleigh(0.8, 6)
    wander = rng.normal(0, 0.04 * height, 6)

    def line(scale: float, share: Array) -> tuple[Array, Array]:
        return foot_x + lean * height * scale * share, foot_z - height * scale * share

    def echoes(scale: float) -> Reflectors:
        share = np.concatenate([[0.0, 0.04], np.linspace(0.15, 0.9, 6), [1.0]])
        x, z = line(scale, share)
        x[2:8] += wander
        strength = np.concatenate([[corner, 0.5 * corner], kinks, [corner * decibels(TIP_DB)]])
        return Reflectors(x, z, strength * sqrt(scale) * phase)

    return place.flaw(CRACK, height, echoes, lambda scale: line(scale, np.linspace(0, 1, POINTS)))


def _all_round(
    place: Placement,
    mask_value: int,
    size_mm: float,
    *,
    centre: tuple[float, float],
    echo: Reflectors,
    extent: tuple[Array, Array],
) -> Flaw:
    """Return a flaw that sends sound in all directions, so that every leg that reaches it shows it."""
    wall = place.joint.wall_mm
    legs = place.legs_to(*centre)

    def scaled(x: Array, z: Array, scale: float) -> tuple[Array, Array]:
        return centre[0] + scale * (x - centre[0]), centre[1] + scale * (z - centre[1])

    def echoes(scale: float) -> Reflectors:
        x, z = scaled(echo.x_mm, echo.z_mm, scale)
        weaker = [scale * decibels(SECOND_LEG_DB * (leg - 1)) for leg in legs]
        parts = (Reflectors(x, unfold(z, wall, n), echo.amplitude * w) for n, w in zip(legs, weaker, strict=True))
        return Reflectors.join(*parts)

    def outline(scale: float) -> tuple[Array, Array]:
        x, z = scaled(*extent, scale)
        return np.tile(x, len(legs)), np.concatenate([unfold(z, wall, leg) for leg in legs])

    return place.flaw(mask_value, size_mm, echoes, outline)


def _ellipse(centre: tuple[float, float], long_mm: float, short_mm: float, tilt: float) -> tuple[Array, Array]:
    """Return points that fill an ellipse with the given axes, the longer one turned from the horizontal."""
    along, off = np.meshgrid(np.linspace(-1, 1, 15), np.linspace(-1, 1, 9))
    inside = along**2 + off**2 <= 1
    a, o = along[inside] * long_mm / 2, off[inside] * short_mm / 2
    return centre[0] + a * cos(tilt) - o * sin(tilt), centre[1] + a * sin(tilt) + o * cos(tilt)


def gas_pore(place: Placement, rng: np.random.Generator) -> Flaw:
    """Gas pore: a sphere smaller than the beam, so a point."""
    diameter = rng.uniform(0.08, 0.13) * place.joint.wall_mm
    centre = place.somewhere(diameter, rng)
    level = np.array([decibels(rng.uniform(-6, -1))], dtype=np.complex128)
    echo = Reflectors(np.array([centre[0]]), np.array([centre[1]]), level)
    return _all_round(
        place, GAS_PORE, diameter, centre=centre, echo=echo, extent=_ellipse(centre, diameter, diameter, 0.0)
    )


def solid_inclusion(place: Placement, rng: np.random.Generator) -> Flaw:
    """Solid inclusion: an elongated, irregular cluster of facets of different strength."""
    length = rng.uniform(0.28, 0.42) * place.joint.wall_mm
    centre = place.somewhere(length * 0.6, rng)
    tilt, width = rng.uniform(-0.6, 0.6), rng.uniform(0.3, 0.5) * length
    x, z = _ellipse(centre, length, width, tilt)
    facets = rng.choice(len(x), 14, replace=False)
    strength = decibels(rng.uniform(-9, -5)) * rng.rayleigh(0.9, 14) * _phases(rng, 14)
    return _all_round(
        place,
        SOLID_INCLUSION,
        length,
        centre=centre,
        echo=Reflectors(x[facets], z[facets], strength),
        extent=(x, z),
    )


def lack_of_fusion(place: Placement, rng: np.random.Generator) -> Flaw:
    """Lack of fusion on a bevel: a rough plane, strongest where the beam meets it at right angles.

    Raises
    ------
    ValueError
        If no beam reaches a bevel.
    """
    joint = place.joint
    for _ in range(TRIES):
        # The length is drawn again with the rest: a long flaw may fit nowhere under the beams.
        length = rng.uniform(0.28, 0.45) * joint.wall_mm
        rise = length * cos(joint.bevel)
        # The far bevel faces sound coming straight, the near one sound coming by the back wall.
        leg = int(rng.integers(1, place.spec.legs + 1))
        side = 1 if leg == 1 else -1
        middle = rng.uniform(0.15 * joint.wall_mm + rise / 2, 0.88 * joint.wall_mm - rise / 2)
        ends = [middle - rise / 2, middle + rise / 2]
        if all(leg in place.legs_to(float(side * joint.half_width(z)), z) for z in ends):
            break
    else:
        raise ValueError(f"no beam of {place.spec.name!r} reaches a bevel")
    grain, phase = rng.rayleigh(0.8, POINTS), np.cumsum(rng.normal(0, 0.9, POINTS))
    peak = decibels(rng.uniform(-3, 1))

    def line(scale: float) -> tuple[Array, Array]:
        z = middle + np.linspace(-0.5, 0.5, POINTS) * rise * scale
        return side * joint.half_width(z), unfold(z, joint.wall_mm, leg)

    def echoes(scale: float) -> Reflectors:
        x, z = line(scale)
        off = np.degrees(place.beams.beam_angle(x, z) + joint.bevel) - 90
        lobe = 0.35 + 0.65 * np.exp(-0.5 * (off / SPECULAR_DEG) ** 2)
        return Reflectors(x, z, peak * lobe * grain * sqrt(scale) * np.exp(1j * phase))

    return place.flaw(LACK_OF_FUSION, length, echoes, line)


def incomplete_penetration(place: Placement, rng: np.random.Generator) -> Flaw:
    """Incomplete penetration: the plates' edges stand unfused at the root, a corner on either side of the gap."""
    joint = place.joint
    height = rng.uniform(0.12, 0.2) * joint.wall_mm
    half = max(0.6, joint.root_gap_mm / 2)
    level = decibels(rng.uniform(1, 4))
    grain, phase = rng.rayleigh(0.25, 10), _phases(rng, 12)

    def echoes(scale: float) -> Reflectors:
        up = np.linspace(0, 1, 5) * height * scale
        x = np.concatenate([[-half, half], np.full(5, -half), np.full(5, half)])
        z = joint.wall_mm - np.concatenate([[0.0, 0.0], up, up])
        strength = np.concatenate([[1.0, 0.9], grain]) * level
        return Reflectors(x, z, strength * sqrt(scale) * phase)

    def outline(scale: float) -> tuple[Array, Array]:
        up = np.linspace(0, 1, 14) * height * scale
        across = np.linspace(-half, half, 9)
        x, z = np.meshgrid(across, joint.wall_mm - up)
        return x.ravel(), z.ravel()

    return place.flaw(INCOMPLETE_PENETRATION, height, echoes, outline)


MAKERS: dict[int, Callable[[Placement, np.random.Generator], Flaw]] = {
    CRACK: crack,
    GAS_PORE: gas_pore,
    SOLID_INCLUSION: solid_inclusion,
    LACK_OF_FUSION: lack_of_fusion,
    INCOMPLETE_PENETRATION: incomplete_penetration,
}
"""How a flaw of each mask value is made."""
