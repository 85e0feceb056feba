"""Ray Serve with the model; runs in Ray's environment, as ``python ray_app.py PORT CONTROL_PORT TEMP_DIR MODEL``.

``POST /reconfigure`` and ``POST /redeploy`` on the control port, with ``{"version": n, "path": ...}``, do what
``serve.run`` does after the configuration or the code has changed, and answer when it has returned.
"""

import asyncio
import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from benchmarks.peers.served.segmenter import Segmenter

HOST = "127.0.0.1"


@serve.deployment(num_replicas=1, ray_actor_options={"num_cpus": 0.5})
class WeldModel:
    """Takes raw samples; ``user_config`` names the version."""

    def __init__(self, build: int) -> None:
        self._build = build
        self._current: tuple[int, Segmenter] | None = None

    async def reconfigure(self, config: dict[str, Any]) -> None:
        """Load off the loop, then change over."""
        self._current = config["version"], await asyncio.to_thread(Segmenter, config["path"])

    async def __call__(self, request: Request) -> Response:
        """Judge a frame."""
        if self._current is None:
            raise RuntimeError("not configured")
        version, segmenter = self._current
        shape = int(request.headers["x-rows"]), int(request.headers["x-columns"])
        judged = await asyncio.to_thread(segmenter.judge, await request.body(), shape)
        return JSONResponse(judged | {"release": version})


def deploy(build: int, config: dict[str, Any]) -> None:
    """Deploy or update; returns when the application runs with it."""
    serve.run(WeldModel.options(user_config=config).bind(build), name="weld", route_prefix="/judge")  # type: ignore[attr-defined]


class Control(BaseHTTPRequestHandler):
    """Updates on request."""

    build = 1

    def do_POST(self) -> None:
        """Update and answer."""
        config = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/redeploy":
            Control.build = config["version"]
        deploy(Control.build, config)
        self.send_response(204)
        self.end_headers()


def main(port: int, control_port: int, temp_dir: str, path: str) -> None:
    """Serve until SIGTERM."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100 * 1024 * 1024,
        _node_ip_address=HOST,
        _temp_dir=temp_dir,
        log_to_driver=True,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())  # ray.init sets its own
    serve.start(http_options={"host": HOST, "port": port})
    deploy(1, {"version": 1, "path": path})
    control = ThreadingHTTPServer((HOST, control_port), Control)
    threading.Thread(target=control.serve_forever, daemon=True).start()
    ended.wait()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
