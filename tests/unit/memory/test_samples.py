import json
import zlib

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


HEADER = json.loads(GOOD[12 : 12 + int.from_bytes(GOOD[4:8], "little")])


@pytest.mark.parametrize(
    "changes",
    [
        {"arrays": []},
        {"arrays": [["pixels", "uint8", [2, 2]]]},
        {"arrays": [["pixels", "uint8", [2, 2]], ["mask", "uint8", [2, 1]]]},
        {"arrays": [["pixels", "uint8", [4]], ["mask", "uint8", [4]]]},
        {"arrays": [["pixels", "uint8", [2, -2]], ["mask", "uint8", [2, 2]]]},
        {"arrays": [["pixels", "uint8", [2**40, 2**40]], ["mask", "uint8", [2, 2]]]},
        {"arrays": [["pixels", "object", [2, 2]], ["mask", "uint8", [2, 2]]]},
        {"arrays": [["pixels", "uint8", [2, 2]], ["mask", "uint8", [2, 2]], ["+x", "float32", [0, 2**63]]]},
        {"arrays": [["pixels", "uint8", [2, 2]], ["pixels", "uint8", [2, 2]]]},
        {"source": {"topic": "t"}},
        {"weld_id": None},
    ],
)
def test_a_header_that_was_made_to_fit_its_checksum(changes: dict[str, object]) -> None:
    header = json.dumps(HEADER | changes).encode()
    rest = header + bytes(8)
    stored = b"WSS1" + len(header).to_bytes(4, "little") + zlib.crc32(rest).to_bytes(4, "little") + rest
    with pytest.raises(BadPayloadError, match="stored sample"):
        Sample.from_bytes(stored)


def test_json_in_json_in_json_is_refused() -> None:
    rest = b"[" * 100_000
    stored = b"WSS1" + len(rest).to_bytes(4, "little") + zlib.crc32(rest).to_bytes(4, "little") + rest
    with pytest.raises(BadPayloadError, match="header"):
        Sample.from_bytes(stored)
