"""Simulated welds: repeatable, masked exactly, and in physical units."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from schemas import View
from stream.simulator import DOMAINS, DomainSpec, SimulatorSource, simulate_weld
from stream.simulator.flaws import (
    CRACK,
    GAS_PORE,
    INCOMPLETE_PENETRATION,
    LACK_OF_FUSION,
    MAKERS,
    SOLID_INCLUSION,
    Flaw,
    Placement,
)
from stream.simulator.instrument import Instrument, instrument_for
from stream.simulator.reflectors import fold
from stream.simulator.weld import place_flaws

IDS = [spec.procedure for spec in DOMAINS]
RAYLEIGH_SNR = np.sqrt(np.pi / (4 - np.pi))
"""Mean over standard deviation of a Rayleigh-distributed amplitude: 1.91."""

every_domain = pytest.mark.parametrize("spec", DOMAINS, ids=IDS)


def flaws_of(spec: DomainSpec, kind: int, count: int = 12) -> Iterator[tuple[Instrument, Flaw]]:
    instrument = instrument_for(spec)
    for seed in range(count):
        placement = Placement(instrument.beams, instrument.joint, 5.0, 10.0)
        yield instrument, MAKERS[kind](placement, np.random.default_rng(seed))


@every_domain
def test_the_same_arguments_give_the_same_bytes_and_another_seed_others(spec: DomainSpec) -> None:
    one, again, other = (
        list(simulate_weld(spec, seed=seed, frames=6, weld_id="w")) for seed in ((1, 2), (1, 2), (1, 3))
    )
    for a, b, c in zip(one, again, other, strict=True):
        assert a.frame == b.frame
        np.testing.assert_array_equal(a.pixels, b.pixels)
        np.testing.assert_array_equal(a.mask, b.mask)
        assert (a.pixels != c.pixels).any()


@every_domain
def test_masks_fit_their_frames_and_sound_welds_have_none(spec: DomainSpec) -> None:
    values: set[int] = set()
    for weld in range(12):
        for scan in simulate_weld(spec, seed=weld, frames=24, weld_id=f"w{weld}"):
            assert scan.mask is not None
            assert scan.pixels.shape == scan.mask.shape == (256, 256)
            assert scan.mask.dtype == np.uint8
            assert scan.pixels.dtype == np.dtype(spec.dtype)
            values |= set(np.unique(scan.mask).tolist())
    assert values == {0, CRACK, GAS_PORE, SOLID_INCLUSION, LACK_OF_FUSION, INCOMPLETE_PENETRATION}
    for scan in simulate_weld(spec, seed=1, frames=12, weld_id="sound", classes=()):
        assert scan.mask is not None
        assert not scan.mask.any()


@every_domain
def test_a_flaw_changes_the_pixels_that_its_mask_marks(spec: DomainSpec) -> None:
    """The mask lies where frame with and frame without the flaw differ: the grain is the same in both."""
    inside, outside = [], []
    for seed in range(8):
        flawed = simulate_weld(spec, seed=seed, frames=16, weld_id="w")
        sound = simulate_weld(spec, seed=seed, frames=16, weld_id="w", classes=())
        for a, b in zip(flawed, sound, strict=True):
            assert a.mask is not None
            if a.mask.any():
                change = np.abs(a.pixels.astype(np.float64) - b.pixels)
                inside.append(change[a.mask > 0].mean())
                outside.append(change[a.mask == 0].mean())
    assert np.mean(inside) > 10 * np.mean(outside)


@every_domain
def test_flaws_fit_under_the_beams_whatever_the_seed(spec: DomainSpec) -> None:
    instrument = instrument_for(spec)
    for seed in range(200):
        assert place_flaws(instrument, 40, (1, 2, 3, 4, 5), np.random.default_rng(seed))


@every_domain
def test_frames_carry_positions_and_spacing_in_millimetres(spec: DomainSpec) -> None:
    scans = list(simulate_weld(spec, seed=1, frames=5, weld_id="w"))
    assert [s.frame.position_mm for s in scans] == [n * spec.step_mm for n in range(5)]
    assert scans[0].frame.spacing.column_mm * 256 == pytest.approx(spec.width_mm)
    assert scans[0].frame.spacing.row_mm * 256 == pytest.approx(spec.depth_mm)
    assert len({s.frame.frame_id for s in scans}) == 5


def test_domains_differ_in_name_and_picture() -> None:
    scans = [next(simulate_weld(spec, seed=4, frames=1, weld_id="w")) for spec in DOMAINS]
    assert len({s.frame.domain for s in scans}) == len(DOMAINS)
    pictures = [(s.pixels - s.pixels.mean()) / s.pixels.std() for s in scans]
    for a, b in itertools.combinations(pictures, 2):
        assert np.mean(a * b) < 0.9, "two domains look alike"


def test_a_source_yields_all_welds_and_can_be_read_again() -> None:
    source = SimulatorSource(DOMAINS[:2], seed=3, welds=2, frames_per_weld=3)
    first = [scan.frame.frame_id for scan in source]
    assert len(first) == len(set(first)) == len(source) == 12
    assert [scan.frame.frame_id for scan in source] == first


@pytest.mark.parametrize("spec", [s for s in DOMAINS if s.grain_clustering == 0], ids=lambda s: s.procedure)
def test_speckle_of_fine_grain_is_rayleigh(spec: DomainSpec) -> None:
    instrument = instrument_for(spec)
    amplitude = np.concatenate(
        [np.abs(instrument.grain(np.random.default_rng(seed)) / instrument._grain_level).ravel() for seed in range(4)]
    )
    assert amplitude.mean() / amplitude.std() == pytest.approx(RAYLEIGH_SNR, rel=0.05)


@every_domain
def test_sound_is_attenuated_on_the_way_there_and_back(spec: DomainSpec) -> None:
    instrument = instrument_for(spec)
    path, level = instrument.beams.path_mm.ravel(), 20 * np.log10(instrument.loss.ravel())
    slope = np.polyfit(path, level, 1)[0]
    assert slope == pytest.approx(-2 * spec.attenuation_db_mm, rel=1e-3)


def test_a_straight_beam_sees_the_back_wall_at_the_wall_thickness() -> None:
    austenitic = next(s for s in DOMAINS if s.legs == 1)
    steep = austenitic.model_copy(
        update={"angle_min_deg": -20.0, "angle_max_deg": 20.0, "index_offset_mm": 0.0, "grain_noise_db": -60.0}
    )
    scan = next(simulate_weld(steep, seed=1, frames=1, weld_id="w", classes=()))
    rows = scan.pixels.astype(np.float64)[:, 64:192].max(axis=1)
    # The first rows show the wedge.
    depth = (64 + np.argmax(rows[64:]) + 0.5) * scan.frame.spacing.row_mm
    assert depth == pytest.approx(steep.wall_mm, abs=1.5)


def shares(instrument: Instrument, flaw: Flaw) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """True depths of a flaw's reflectors, and their amplitudes."""
    echoes = flaw.echoes(1.0)
    return fold(echoes.z_mm, instrument.spec.wall_mm), np.abs(echoes.amplitude)


@every_domain
def test_a_cracks_corner_echo_is_stronger_than_its_tip(spec: DomainSpec) -> None:
    for instrument, flaw in flaws_of(spec, CRACK):
        depth, amplitude = shares(instrument, flaw)
        surface = np.minimum(depth, spec.wall_mm - depth)
        foot, tip = amplitude[surface <= surface.min() + 0.3].max(), amplitude[surface >= surface.max() - 0.3].max()
        assert foot > 2 * tip > 0


@every_domain
def test_a_pore_is_smaller_than_an_inclusion(spec: DomainSpec) -> None:
    pores = [flaw.size_mm for _, flaw in flaws_of(spec, GAS_PORE)]
    inclusions = [flaw.size_mm for _, flaw in flaws_of(spec, SOLID_INCLUSION)]
    assert max(pores) < min(inclusions)


@every_domain
def test_lack_of_fusion_lies_along_the_bevel(spec: DomainSpec) -> None:
    for instrument, flaw in flaws_of(spec, LACK_OF_FUSION):
        x, z = flaw.outline(1.0)
        bevel = instrument.joint.half_width(fold(z, spec.wall_mm))
        np.testing.assert_allclose(np.abs(x), bevel, atol=1e-6)


@every_domain
def test_incomplete_penetration_stands_at_the_root(spec: DomainSpec) -> None:
    for instrument, flaw in flaws_of(spec, INCOMPLETE_PENETRATION):
        x, z = flaw.outline(1.0)
        depth = fold(z, spec.wall_mm)
        assert depth.max() == pytest.approx(spec.wall_mm, abs=0.05 * spec.wall_mm)
        assert depth.min() > 0.7 * spec.wall_mm
        assert np.abs(x).max() <= instrument.joint.root_gap_mm / 2 + 1


def test_views_are_those_that_inspectors_use() -> None:
    assert {spec.view for spec in DOMAINS} == {View.S_SCAN, View.B_SCAN}
