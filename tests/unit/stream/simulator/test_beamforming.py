"""The beamformer finds what is known to be there, and blurs as the fast simulator says that it must."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import loadmat

from stream.simulator.beamforming import FullMatrix, point_matrix, total_focusing
from stream.simulator.point_spread import PointSpread

HOLE_MM, BACK_WALL_MM = 25.0, 50.0


@pytest.fixture(scope="module")
def steel(shared_data: Path) -> tuple[FullMatrix, float]:
    """The measured full matrix, and its velocity in m/s."""
    data = loadmat(str(next((shared_data / "fmc_steel").glob("*.mat"))))["exp_data"][0, 0]
    elements = data["array"]["el_xc"][0, 0].ravel() * 1e3
    time = data["time"].ravel()
    signals = np.zeros((len(elements), len(elements), len(time)), np.float32)
    signals[data["tx"].ravel() - 1, data["rx"].ravel() - 1] = data["time_data"].T
    velocity = float(data["material"]["vel_spherical_harmonic_coeffs"][0, 0].item())
    return FullMatrix(signals, 1 / (time[1] - time[0]), float(time[0]), elements), velocity


def depth_of_peak(image: NDArray[np.float32], z: NDArray[np.float64], lowest: float, highest: float) -> float:
    band = (z >= lowest) & (z <= highest)
    return float(z[band][np.argmax(image[band].max(axis=1))])


def test_hole_and_back_wall_of_measured_steel(steel: tuple[FullMatrix, float]) -> None:
    matrix, velocity = steel
    x, z = np.arange(-10, 10.1, 0.4), np.arange(12, 58, 0.15)
    image = total_focusing(matrix, velocity, x, z)
    assert depth_of_peak(image, z, 15, 40) == pytest.approx(HOLE_MM, abs=1)
    assert depth_of_peak(image, z, 42, 57) == pytest.approx(BACK_WALL_MM, abs=1)


def width_at_half(profile: NDArray[np.float32], step: float) -> float:
    """-6 dB full width of a peak, interpolated."""
    half = profile.max() / 2
    above = np.flatnonzero(profile >= half)
    left, right = int(above[0]), int(above[-1])
    outer = (profile[left] - half) / (profile[left] - profile[left - 1])
    inner = (profile[right] - half) / (profile[right] - profile[right + 1])
    return float((right - left + outer + inner) * step)


@pytest.mark.parametrize(
    ("frequency_mhz", "elements", "pitch_mm", "bandwidth", "depth_mm"),
    [(5.0, 32, 0.6, 0.6, 40.0), (2.25, 16, 1.0, 0.5, 45.0)],
)
def test_a_point_is_blurred_as_the_fast_simulator_assumes(
    frequency_mhz: float, elements: int, pitch_mm: float, bandwidth: float, depth_mm: float
) -> None:
    velocity = 5900.0
    positions = (np.arange(elements) - (elements - 1) / 2) * pitch_mm
    matrix = point_matrix(
        positions, (0.0, depth_mm), frequency_mhz=frequency_mhz, velocity_m_s=velocity, bandwidth=bandwidth
    )
    step = 0.05
    x = np.arange(-8, 8 + step / 2, step)
    z = depth_mm + np.arange(-4, 4 + step / 2, step)
    across = total_focusing(matrix, velocity, x, np.array([depth_mm]))[0]
    along = total_focusing(matrix, velocity, np.array([0.0]), z)[:, 0]
    psf = PointSpread.of(
        wavelength_mm=velocity / frequency_mhz * 1e-3, aperture_mm=elements * pitch_mm, bandwidth=bandwidth
    )
    assert width_at_half(across, step) == pytest.approx(psf.lateral_width_mm(depth_mm), rel=0.3)
    assert width_at_half(along, step) == pytest.approx(psf.axial_width_mm, rel=0.3)


def test_signals_must_be_a_full_matrix() -> None:
    with pytest.raises(ValueError, match="no full matrix of 4 elements"):
        FullMatrix(np.zeros((4, 3, 10), np.float32), 1e8, 0.0, np.zeros(4))
