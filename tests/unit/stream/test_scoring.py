import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stream.scoring import Confusion

MASKS = hnp.arrays(np.uint8, (6, 7), elements=st.integers(0, 3))


@given(MASKS, MASKS)
def test_scores_agree_with_counting_by_hand(judged: np.ndarray, true: np.ndarray) -> None:
    confusion = Confusion.of(judged, true, 4)
    size = (judged > 0).sum() + (true > 0).sum()
    both = ((judged == true) & (true > 0)).sum()
    assert confusion.dice == pytest.approx(2 * both / size if size else 1.0)
    by_hand = 2 * ((judged > 0) & (true > 0)).sum() / size if size else 1.0
    assert confusion.foreground_dice == pytest.approx(by_hand)
    assert confusion.dice <= confusion.foreground_dice + 1e-12
    for value in range(4):
        both, either = ((judged == value) & (true == value)).sum(), ((judged == value) | (true == value)).sum()
        assert confusion.iou_per_class[value] == pytest.approx(both / either if either else 1.0)


@given(MASKS, MASKS, MASKS, MASKS)
def test_counts_add_up(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> None:
    together = Confusion.of(np.concatenate([a, c]), np.concatenate([b, d]), 4)
    added = Confusion.of(a, b, 4) + Confusion.of(c, d, 4)
    assert (together.counts == added.counts).all()
    assert added.frames == 2


def test_no_defect_scores_one_only_if_none_is_called() -> None:
    clean, called = np.zeros((4, 4), np.uint8), np.eye(4, dtype=np.uint8)
    assert Confusion.of(clean, clean, 2).dice == 1.0
    assert Confusion.of(called, clean, 2).dice == 0.0


def test_refuses_what_cannot_be_counted() -> None:
    with pytest.raises(ValueError, match="none of the 2"):
        Confusion.of(np.full((2, 2), 2, np.uint8), np.zeros((2, 2), np.uint8), 2)
    with pytest.raises(ValueError, match="shape"):
        Confusion.of(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), 2)
