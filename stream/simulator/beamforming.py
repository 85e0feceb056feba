"""Images from a full matrix of signals: the independent check of what the simulator draws directly."""

from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray
from scipy.signal import hilbert

from stream.simulator.point_spread import PointSpread

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class FullMatrix:
    """The signals of every transmitter at every receiver, of a linear array in contact with the metal.

    Attributes
    ----------
    signals : NDArray[np.float32]
        Shape ``(transmitters, receivers, samples)``.
    sample_rate_hz, start_s : float
        Sampling rate, and the time of the first sample after the shot.
    element_x_mm : NDArray[np.float64]
        Shape ``(elements,)``: centres of the elements along the array.
    """

    signals: NDArray[np.float32]
    sample_rate_hz: float
    start_s: float
    element_x_mm: Array

    def __post_init__(self) -> None:
        """Refuse signals that do not belong to the elements.

        Raises
        ------
        ValueError
            If there is not one signal for each pair of elements.
        """
        elements = len(self.element_x_mm)
        if self.signals.ndim != 3 or self.signals.shape[:2] != (elements, elements):  # noqa: PLR2004
            msg = f"signals of shape {self.signals.shape} are no full matrix of {elements} elements"
            raise ValueError(msg)


def total_focusing(matrix: FullMatrix, velocity_m_s: float, x_mm: Array, z_mm: Array) -> NDArray[np.float32]:
    """Focus at every point of a grid: delay and sum over all pairs of elements.

    The total focusing method of Holmes, Drinkwater & Wilcox (NDT & E
    International 38, 2005), on analytic signals.

    Parameters
    ----------
    matrix : FullMatrix
        What was captured.
    velocity_m_s : float
        Of the wave in the metal.
    x_mm, z_mm : NDArray[np.float64]
        Shapes ``(W,)`` and ``(H,)``: positions along the array and depths.

    Returns
    -------
    NDArray[np.float32]
        Envelope, shape ``(H, W)``, in units of the signals.
    """
    analytic = np.asarray(hilbert(matrix.signals, axis=-1), dtype=np.complex64)
    samples = analytic.shape[-1]
    distance = np.hypot(x_mm[None, None, :] - matrix.element_x_mm[:, None, None], z_mm[None, :, None])
    flight = distance * 1e-3 / velocity_m_s * matrix.sample_rate_hz
    image = np.zeros((len(z_mm), len(x_mm)), dtype=np.complex64)
    for transmitter, out in enumerate(flight):
        for receiver, back in enumerate(flight):
            at = out + back - matrix.start_s * matrix.sample_rate_hz
            index = np.clip(at.astype(np.int64), 0, samples - 2)
            share = (at - index).astype(np.float32)
            signal = analytic[transmitter, receiver]
            inside = (at >= 0) & (at <= samples - 1)
            image += np.where(inside, signal[index] * (1 - share) + signal[index + 1] * share, 0)
    return np.abs(image).astype(np.float32)


def point_matrix(
    element_x_mm: Array,
    point_mm: tuple[float, float],
    *,
    frequency_mhz: float,
    velocity_m_s: float,
    bandwidth: float,
    sample_rate_hz: float = 100e6,
) -> FullMatrix:
    """Return the full matrix of one point reflector, with the pulse that the simulator assumes.

    Parameters
    ----------
    element_x_mm : NDArray[np.float64]
        Shape ``(elements,)``.
    point_mm : (float, float)
        Position along the array, and depth.
    frequency_mhz, velocity_m_s, bandwidth : float
        Of the pulse, as in :class:`~stream.simulator.domains.DomainSpec`.
    sample_rate_hz : float
        Of the signals.
    """
    wavelength_mm = velocity_m_s / frequency_mhz * 1e-3
    # The range is half the way there and back, so a time is twice the range over the velocity.
    sigma_s = 2e-3 * PointSpread.of(wavelength_mm=wavelength_mm, aperture_mm=1.0, bandwidth=bandwidth).sigma_mm
    sigma_s /= velocity_m_s
    flight_s = np.hypot(element_x_mm - point_mm[0], point_mm[1]) * 1e-3 / velocity_m_s
    arrival_s = flight_s[:, None] + flight_s[None, :]
    time_s = np.arange(0, arrival_s.max() + 8 * sigma_s, 1 / sample_rate_hz)
    late = time_s - arrival_s[..., None]
    signals = np.exp(-0.5 * (late / sigma_s) ** 2) * np.cos(2 * pi * frequency_mhz * 1e6 * late)
    return FullMatrix(signals.astype(np.float32), sample_rate_hz, 0.0, element_x_mm)
