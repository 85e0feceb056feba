"""MLServer asked by HTTP, in the V2 inference protocol."""

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from benchmarks.peers.asking import Asker
from benchmarks.peers.mlserver import MODEL, MLServer, answer, request
from benchmarks.peers.peer import Answer, Send
from stream.local.reaper import Reaper
from stream.sources import SourceFrame


class MLServerHttp(MLServer):
    """MLServer asked by HTTP."""

    def __init__(self, folder: Path, models: Sequence[Path], *, in_place: bool, reaper: Reaper) -> None:
        super().__init__(folder, models, in_place=in_place, reaper=reaper, settings={})
        self.name = f"MLServer HTTP, {'reload' if in_place else 'new version'}"
        self.setting = f"default settings, V2 JSON with base64 pixels, for it reads no binary tensors; {self.how}"
        self._asker = Asker(self.port, f"/v2/models/{MODEL}/infer", lambda _, response, at: answer(response, at))

    @property
    def answers(self) -> Sequence[Answer]:
        """Answers so far."""
        return self._asker.answers

    def encode(self, scan: SourceFrame) -> Send:
        """Encode a frame as a request."""
        content = json.dumps(request(scan)).encode()
        return self._asker.sender(scan.frame.frame_id, content, {"content-type": "application/json"})

    async def close(self) -> None:
        """End whatever runs."""
        await self._asker.close()
        await super().close()


@contextlib.asynccontextmanager
async def mlserver_http(
    folder: Path, models: Sequence[Path], *, in_place: bool, reaper: Reaper
) -> AsyncIterator[MLServerHttp]:
    """Have an MLServer while the block runs."""
    server = MLServerHttp(folder, models, in_place=in_place, reaper=reaper)
    try:
        yield server
    finally:
        await server.close()
