"""An MLServer process with the model as a runtime of its own, and the requests that it reads."""

import asyncio
import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from benchmarks.peers.peer import Answer
from benchmarks.peers.processes import program, started, terminated, variables
from stream.local.ports import LOOPBACK, free_port
from stream.local.process import ManagedProcess
from stream.local.reaper import Reaper
from stream.local.service import http_status
from stream.sources import SourceFrame

MODEL = "weld"
TIMEOUT_SECONDS = 30.0


def request(scan: SourceFrame) -> dict[str, Any]:
    """Return a V2 inference request; base64 is the compact form that its JSON knows."""
    rows, columns = scan.pixels.shape
    pixels = {
        "name": "pixels",
        "shape": [1, 1],
        "datatype": "BYTES",
        "parameters": {"content_type": "base64", "rows": rows, "columns": columns},
        "data": [base64.b64encode(scan.pixels.tobytes()).decode()],
    }
    return {"id": scan.frame.frame_id, "inputs": [pixels]}


def answer(response: Mapping[str, Any], at: float) -> Answer:
    """Read a V2 inference response."""
    outputs = {output["name"]: output["data"][0] for output in response["outputs"]}
    mask = zlib.decompress(base64.b64decode(outputs["mask"]))
    return Answer(response["id"], at, int(outputs["release"]), hashlib.sha256(mask).hexdigest())


class MLServer:
    """A server with one model in its repository.

    Parameters
    ----------
    folder : Path
        Its settings, repository and log.
    models : sequence of Path
        Self-contained ONNX files of version 1, 2 and so on.
    in_place : bool
        Whether a new version takes over the name of the version before it, or
        comes as a version of its own.
    reaper : Reaper
        Stops it should this process die.
    settings : mapping
        More of its settings.
    """

    def __init__(
        self, folder: Path, models: Sequence[Path], *, in_place: bool, reaper: Reaper, settings: Mapping[str, Any]
    ) -> None:
        self._models = models
        self._in_place = in_place
        self._repository = folder
        folder.mkdir(parents=True)
        self.port = free_port()
        taken = frozenset({self.port})
        grpc = free_port(exclude=taken)
        metrics = free_port(exclude=taken | {grpc})
        ports = {"host": LOOPBACK, "http_port": self.port, "grpc_port": grpc, "metrics_port": metrics}
        (folder / "settings.json").write_text(json.dumps(ports | dict(settings)))
        self.configure(1)
        self._process = ManagedProcess(
            "mlserver",
            (program("mlserver", "mlserver"), "start", str(folder)),
            log_file=folder / "mlserver.log",
            ready=lambda: http_status(self.port, f"/v2/models/{MODEL}/ready") == httpx.codes.OK,
            reaper=reaper,
            env=variables("mlserver", {}),
            cwd=folder,
        )
        self._control = httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{self.port}", timeout=TIMEOUT_SECONDS)

    @property
    def log_file(self) -> Path:
        """The server's log."""
        return self._process.log_file

    def configure(self, version: int) -> None:
        """Write the repository's entry."""
        entry = {
            "name": MODEL,
            "implementation": "benchmarks.peers.served.mlserver_runtime.WeldModel",
            "parameters": {
                "uri": str(self._models[version - 1]),
                "version": "1" if self._in_place else str(version),
                "extra": {"release": version},
            },
        }
        (self._repository / "model-settings.json").write_text(json.dumps(entry))

    async def start(self) -> None:
        """Start it with what its repository holds."""
        await started(self._process)

    async def terminate(self) -> bool:
        """Send it SIGTERM."""
        return await terminated(self._process)

    async def kill(self) -> None:
        """Kill it and its workers."""
        self._process.kill()

    async def bump(self, version: int) -> None:
        """Change the repository's entry and ask to load the model, as its documentation says."""
        self.configure(version)
        (await self._control.post(f"/v2/repository/models/{MODEL}/load")).raise_for_status()

    async def close(self) -> None:
        """End whatever runs."""
        await self._control.aclose()
        await asyncio.to_thread(self._process.kill)

    @property
    def how(self) -> str:
        """How a version is put in service, for the table."""
        return (
            "a new version is loaded over the old one by the repository API"
            if self._in_place
            else "a new version is loaded beside the old one by the repository API"
        )
