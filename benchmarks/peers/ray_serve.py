"""Ray Serve asked by HTTP."""

import asyncio
import base64
import contextlib
import hashlib
import tempfile
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from benchmarks.peers.asking import TIMEOUT_SECONDS, Asker
from benchmarks.peers.peer import Answer, Send
from benchmarks.peers.processes import ROOT, program, started, terminated, variables
from stream.local.ports import LOOPBACK, accepts, free_port
from stream.local.process import ManagedProcess
from stream.local.reaper import Reaper
from stream.sources import SourceFrame

START_SECONDS = 120.0
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # A node that is not part of a cluster stays on loopback; the name says where that is the default.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}


class RayServe:
    """One replica behind Ray's proxy, in a Ray of its own.

    Parameters
    ----------
    folder, sessions : Path
        Its log, and where Ray keeps its sockets: a short path.
    models : sequence of Path
        Self-contained ONNX files of version 1, 2 and so on.
    redeploy : bool
        Whether a new version comes as new code in a new replica, or as new
        ``user_config`` for the running one.
    reaper : Reaper
        Stops it should this process die.
    """

    def __init__(self, folder: Path, sessions: Path, models: Sequence[Path], *, redeploy: bool, reaper: Reaper) -> None:
        self._models = models
        self._update = "redeploy" if redeploy else "reconfigure"
        self.name = f"Ray Serve HTTP, {self._update}"
        self.setting = "one replica, `num_cpus=2`, no dashboard, raw pixels as the body; " + (
            "`serve.run` with changed arguments" if redeploy else "`serve.run` with a changed `user_config`"
        )
        port = free_port()
        self._control_port = free_port(exclude=frozenset({port}))
        arguments = (str(port), str(self._control_port), str(sessions), str(models[0]))
        self._process = ManagedProcess(
            "ray",
            (program("ray", "python"), str(ROOT / "benchmarks/peers/served/ray_app.py"), *arguments),
            log_file=folder / f"ray-{self._update}.log",
            ready=lambda: accepts(self._control_port),
            reaper=reaper,
            env=variables("ray", SETTINGS),
            cwd=folder,
            ready_timeout_s=START_SECONDS,
        )
        self._control = httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{self._control_port}", timeout=TIMEOUT_SECONDS)
        self._asker = Asker(port, "/judge", _read)

    @property
    def answers(self) -> Sequence[Answer]:
        """Answers so far."""
        return self._asker.answers

    @property
    def log_file(self) -> Path:
        """What Ray's driver writes."""
        return self._process.log_file

    async def start(self) -> None:
        """Start Ray and deploy the first version."""
        await started(self._process)

    def encode(self, scan: SourceFrame) -> Send:
        """Encode a frame as a request."""
        rows, columns = scan.pixels.shape
        headers = {"x-rows": str(rows), "x-columns": str(columns), "content-type": "application/octet-stream"}
        return self._asker.sender(scan.frame.frame_id, scan.pixels.tobytes(), headers)

    async def bump(self, version: int) -> None:
        """Deploy a version; returns when ``serve.run`` does."""
        config = {"version": version, "path": str(self._models[version - 1])}
        (await self._control.post(f"/{self._update}", json=config)).raise_for_status()

    async def close(self) -> None:
        """End Ray and whatever it started."""
        await self._asker.close()
        await self._control.aclose()
        if self._process.is_running:
            await terminated(self._process)


@contextlib.asynccontextmanager
async def ray_serve(folder: Path, models: Sequence[Path], *, redeploy: bool, reaper: Reaper) -> AsyncIterator[RayServe]:
    """Have a Ray Serve while the block runs."""
    # Sockets have names of at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as sessions:
        server = RayServe(folder, Path(sessions), models, redeploy=redeploy, reaper=reaper)
        try:
            yield server
        finally:
            await asyncio.shield(server.close())


def _read(frame_id: str, response: Mapping[str, Any], at: float) -> Answer:
    mask = zlib.decompress(base64.b64decode(response["mask"]))
    return Answer(frame_id, at, int(response["release"]), hashlib.sha256(mask).hexdigest())
