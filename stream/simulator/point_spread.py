"""The image of a point: how far a focused array and a short pulse blur it."""

from dataclasses import dataclass
from math import log, pi, sqrt
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stream.simulator.domains import DomainSpec

HALF_POWER_SINC = 0.4429
"""Where sinc(x) = sin(pi x) / (pi x) has fallen to 1 / sqrt(2), so that its square (both ways) is -6 dB."""


@dataclass(frozen=True, slots=True)
class PointSpread:
    """Separable two-way response of a focused aperture.

    Across the beam it is the squared sinc of a line aperture in the sine of
    the steering angle; along the beam a Gaussian pulse (Schmerr, Fundamentals
    of Ultrasonic Phased Arrays, 2015, chapters 2 and 4).

    Attributes
    ----------
    sine_per_lobe : float
        Wavelength over aperture: the sine from the axis to the first null.
    sigma_mm : float
        Standard deviation of the pulse's envelope, in mm of range.
    """

    sine_per_lobe: float
    sigma_mm: float

    @classmethod
    def of(cls, *, wavelength_mm: float, aperture_mm: float, bandwidth: float) -> Self:
        """Return the response of an aperture and a pulse of a relative -6 dB bandwidth."""
        return cls(wavelength_mm / aperture_mm, wavelength_mm * sqrt(2 * log(2)) / (2 * pi * bandwidth))

    @classmethod
    def of_domain(cls, spec: DomainSpec) -> Self:
        """Return the response of a domain's probe."""
        return cls.of(wavelength_mm=spec.wavelength_mm, aperture_mm=spec.aperture_mm, bandwidth=spec.bandwidth)

    @property
    def sine_width(self) -> float:
        """-6 dB full width across the beam, in sines of the steering angle."""
        return 2 * HALF_POWER_SINC * self.sine_per_lobe

    @property
    def axial_width_mm(self) -> float:
        """-6 dB full width along the beam, in mm of range."""
        return 2 * sqrt(2 * log(2)) * self.sigma_mm

    def lateral_width_mm(self, range_mm: float) -> float:
        """-6 dB full width across the beam at a range, in mm, for a beam normal to the aperture."""
        return self.sine_width * range_mm

    def lateral(self, sine: NDArray[np.float64]) -> NDArray[np.float64]:
        """Amplitude at sines away from the beam's axis, 1 on it."""
        response: NDArray[np.float64] = np.sinc(sine / self.sine_per_lobe) ** 2
        return response

    def axial(self, range_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Envelope of the pulse at distances in mm along the beam, 1 at its centre."""
        response: NDArray[np.float64] = np.exp(-0.5 * (range_mm / self.sigma_mm) ** 2)
        return response
