import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.samples import Sample
from schemas.errors import BadPayloadError
from schemas.judgements import RecordPosition


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_bytes_hold_everything(dtype: str) -> None:
    rng = np.random.default_rng(0)
    sample = Sample(
        label_id="l",
        domain="d",
        weld_id="w",
        pixels=rng.integers(0, 200, (3, 5)).astype(dtype),
        mask=rng.integers(0, 5, (3, 5)).astype(np.uint8),
        extras={"logits": rng.random((6, 3, 5)).astype(np.float32)},
        source=RecordPosition(topic="labels", partition=2, offset=7),
    )
    back = Sample.from_bytes(sample.to_bytes())
    assert (back.label_id, back.domain, back.weld_id, back.source) == ("l", "d", "w", sample.source)
    np.testing.assert_array_equal(back.pixels, sample.pixels, strict=True)
    np.testing.assert_array_equal(back.mask, sample.mask, strict=True)
    np.testing.assert_array_equal(back.extras["logits"], sample.extras["logits"], strict=True)


GOOD = Sample("l", "d", "w", np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8)).to_bytes()


@given(cut=st.integers(0, len(GOOD) - 1))
def test_truncated_bytes_are_refused(cut: int) -> None:
    with pytest.raises(BadPayloadError):
        Sample.from_bytes(GOOD[:cut])


@given(at=st.integers(12, len(GOOD) - 1), flip=st.integers(1, 255))
def test_damaged_bytes_are_refused(at: int, flip: int) -> None:
    damaged = bytearray(GOOD)
    damaged[at] ^= flip
    with pytest.raises(BadPayloadError):
        Sample.from_bytes(bytes(damaged))


def test_a_mask_of_another_size_is_refused() -> None:
    sample = Sample("l", "d", "w", np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))
    with pytest.raises(BadPayloadError, match="mask"):
        sample.to_bytes()
