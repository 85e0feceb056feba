"""The model as the peers run it: the preprocessing, session options and warm-up are ours."""

import base64
import zlib
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from stream.preprocessing import prepare

_ORT: Any = onnxruntime
OUTPUTS = ("mask", "confidence", "entropy")
SIDE = 256
TRIALS = 2


class Segmenter:
    """A version in memory, warmed up.

    Parameters
    ----------
    path : str
        Self-contained ONNX file.
    """

    def __init__(self, path: str) -> None:
        options = _ORT.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = _ORT.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        for _ in range(TRIALS):
            self.judge(bytes(SIDE * SIDE), (SIDE, SIDE))

    def judge(self, data: bytes, shape: tuple[int, int]) -> dict[str, Any]:
        """Judge a frame of raw uint8 samples.

        Returns
        -------
        dict
            ``mask``, uint8, compressed, as base64 text; ``uncertainty``, the largest entropy.

        Raises
        ------
        ValueError
            If the bytes are not such a frame.
        """
        pixels: NDArray[np.uint8] = np.frombuffer(data, np.uint8).reshape(shape)
        mask, _, entropy = self._session.run(list(OUTPUTS), {self._input: prepare(pixels)[None, None]})
        packed = base64.b64encode(zlib.compress(mask[0].tobytes(), 1)).decode()
        return {"mask": packed, "uncertainty": float(entropy.max())}
