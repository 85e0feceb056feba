import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from inference.postprocessing import find_indications, frame_uncertainty
from schemas.classes import ClassTable
from schemas.frames import PixelSpacing

SPACING = PixelSpacing(row_mm=0.5, column_mm=0.25)
CLASSES = ClassTable()


def test_an_empty_mask_has_no_indications() -> None:
    assert find_indications(np.zeros((8, 8), np.uint8), np.ones((8, 8), np.float32), SPACING, CLASSES, 1) == ()


def test_measures_in_millimetres() -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[4:8, 10:16] = 2
    confidence = np.full(mask.shape, 0.1, np.float32)
    confidence[4:8, 10:16] = 0.75
    (found,) = find_indications(mask, confidence, SPACING, CLASSES, 1)
    assert (found.code, found.name) == (2011, "gas pore")
    assert found.area_mm2 == pytest.approx(24 * 0.125)
    assert (found.box.top_mm, found.box.left_mm, found.box.bottom_mm, found.box.right_mm) == (2.0, 2.5, 4.0, 4.0)
    assert found.confidence == pytest.approx(0.75)


def test_regions_touch_at_corners_but_not_across_classes() -> None:
    mask = np.zeros((6, 6), np.uint8)
    mask[0, 0] = mask[1, 1] = mask[2, 2] = 1
    mask[3, 3] = 2
    mask[5, 0] = 1
    found = find_indications(mask, np.ones(mask.shape, np.float32), SPACING, CLASSES, 1)
    assert [(i.code, i.area_mm2) for i in found] == [(100, 0.375), (100, 0.125), (2011, 0.125)]


def test_small_regions_are_noise() -> None:
    mask = np.zeros((6, 6), np.uint8)
    mask[0, 0:3] = 1
    ones = np.ones(mask.shape, np.float32)
    assert find_indications(mask, ones, SPACING, CLASSES, 4) == ()
    assert len(find_indications(mask, ones, SPACING, CLASSES, 3)) == 1


def test_a_mask_without_background() -> None:
    (found,) = find_indications(np.ones((3, 3), np.uint8), np.ones((3, 3), np.float32), SPACING, CLASSES, 1)
    assert found.area_mm2 == pytest.approx(9 * 0.125)


@given(arrays(np.uint8, (12, 9), elements=st.integers(0, 5)))
def test_every_defect_pixel_is_in_one_indication(mask: np.ndarray) -> None:
    found = find_indications(mask, np.ones(mask.shape, np.float32), SPACING, CLASSES, 1)
    for value in range(1, 6):
        area = sum(i.area_mm2 for i in found if i.code == CLASSES[value].code)
        assert area == pytest.approx(np.count_nonzero(mask == value) * 0.125)
    assert [i.area_mm2 for i in found] == sorted((i.area_mm2 for i in found), reverse=True)


def test_uncertainty_is_the_highest_local_mean() -> None:
    entropy = np.zeros((40, 40), np.float32)
    entropy[11:19, 21:29] = 0.5
    entropy[0, 0] = 1.0
    assert frame_uncertainty(entropy, 8) == pytest.approx(0.5)


@given(arrays(np.float32, (7, 11), elements=st.floats(0, 1, width=32)), st.integers(1, 15))
def test_uncertainty_equals_the_plain_loop(entropy: np.ndarray, window: int) -> None:
    h, w = min(window, 7), min(window, 11)
    means = [entropy[r : r + h, c : c + w].mean(dtype=np.float64) for r in range(8 - h) for c in range(12 - w)]
    assert frame_uncertainty(entropy, window) == pytest.approx(max(means), abs=1e-9)
