"""The model as an MLServer runtime, named in its ``model-settings.json``; runs in MLServer's environment."""

import asyncio
import base64

from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

from benchmarks.peers.served.segmenter import Segmenter


class WeldModel(MLModel):  # type: ignore[misc] # not installed where types are checked
    """Takes ``pixels``, raw samples as base64; gives ``mask`` and ``release``, the number of the version."""

    async def load(self) -> bool:
        """Load off the loop, so that requests go on meanwhile."""
        self._segmenter = await asyncio.to_thread(Segmenter, self.settings.parameters.uri)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Judge a frame."""
        pixels = payload.inputs[0]
        rows, columns = pixels.parameters.rows, pixels.parameters.columns
        data = base64.b64decode(pixels.data[0], validate=True)
        judged = await asyncio.to_thread(self._segmenter.judge, data, (rows, columns))
        outputs: list[ResponseOutput] = [
            StringCodec.encode_output("mask", [judged["mask"]]),
            StringCodec.encode_output("release", [str(self.settings.parameters.extra["release"])]),
        ]
        return InferenceResponse(model_name=self.name, model_version=self.version, id=payload.id, outputs=outputs)
