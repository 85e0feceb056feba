import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stream.preprocessing import CLIP, crop, pad_to_multiple, prepare
from tests.unit.stream.samples import speckle

floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
shapes = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)
images = hnp.arrays("uint8", shapes) | hnp.arrays("uint16", shapes) | hnp.arrays("float32", shapes, elements=floats)


@settings(deadline=None)
@given(pixels=images)
def test_what_comes_out_is_finite_bounded_and_new(pixels: np.ndarray) -> None:
    before = pixels.copy()
    out = prepare(pixels)
    assert out.dtype == np.float32
    assert out.shape == pixels.shape
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= CLIP
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_frames_are_standardised(dtype: str) -> None:
    out = prepare(speckle(dtype, (64, 48))).astype(np.float64)
    assert out.mean() == pytest.approx(0, abs=1e-4)
    assert out.std() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_constant_frames_are_zero(dtype: str) -> None:
    for value in (0, 1, 100, 255):
        assert not prepare(np.full((8, 8), value, dtype)).any()


def test_gain_and_sample_type_do_not_matter() -> None:
    pixels = speckle("uint8", (32, 32))
    expected = prepare(pixels)
    np.testing.assert_allclose(prepare(pixels.astype(np.uint16) * 257), expected, atol=1e-4)
    np.testing.assert_allclose(prepare(pixels.astype(np.float32) * np.float32(1e30)), expected, atol=1e-4)
    np.testing.assert_allclose(prepare(pixels.astype(np.float32) * np.float32(1e-30)), expected, atol=1e-4)


def test_one_bright_pixel_does_not_rule() -> None:
    pixels = np.zeros((100, 100), np.uint16)
    pixels[5, 5] = 65535
    assert prepare(pixels)[5, 5] == CLIP


@settings(deadline=None)
@given(images=hnp.arrays("float32", hnp.array_shapes(min_dims=3, max_dims=3, max_side=9)), multiple=st.integers(1, 8))
def test_padding_can_be_undone(images: np.ndarray, multiple: int) -> None:
    padded, size = pad_to_multiple(images, multiple)
    assert padded.shape[1] % multiple == 0
    assert padded.shape[2] % multiple == 0
    assert padded.shape[1] - images.shape[1] < multiple
    np.testing.assert_array_equal(crop(padded, size), images)


def test_padding_repeats_the_edge_and_costs_nothing_where_none_is_needed() -> None:
    images = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    padded, size = pad_to_multiple(images, 4)
    assert size == (2, 3)
    np.testing.assert_array_equal(padded[0, :, 3], [2, 5, 5, 5])
    assert pad_to_multiple(padded, 4)[0] is padded
