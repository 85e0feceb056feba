"""Health and metrics over HTTP."""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Callable, Generator

import uvicorn
from faststream.asgi import AsgiFastStream, AsgiResponse, get
from faststream.asgi.types import Scope
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from schemas.settings import HttpSettings

_log = logging.getLogger(__name__)

WhyNotReady = Callable[[], str | None]
_JSON = {"content-type": "application/json"}


def make_app(registry: CollectorRegistry, why_not_ready: WhyNotReady) -> AsgiFastStream:
    """Build the ASGI application.

    ``/healthz`` answers while the event loop turns; ``/readyz`` answers 503
    with the reason until the process does its work; ``/metrics`` is for Prometheus.

    Parameters
    ----------
    registry : CollectorRegistry
        What is shown.
    why_not_ready : callable
        Returns None if the process does its work, else a sentence.
    """

    @get(include_in_schema=False)
    async def healthz(scope: Scope) -> AsgiResponse:  # noqa: ARG001
        return AsgiResponse(b'{"status": "alive"}', 200, _JSON)

    @get(include_in_schema=False)
    async def readyz(scope: Scope) -> AsgiResponse:  # noqa: ARG001
        reason = why_not_ready()
        body = {"status": "ready"} if reason is None else {"status": "not ready", "reason": reason}
        return AsgiResponse(json.dumps(body).encode(), 200 if reason is None else 503, _JSON)

    @get(include_in_schema=False)
    async def metrics(scope: Scope) -> AsgiResponse:  # noqa: ARG001
        body = await asyncio.to_thread(generate_latest, registry)
        return AsgiResponse(body, 200, {"content-type": CONTENT_TYPE_LATEST})

    return AsgiFastStream(asgi_routes=[("/healthz", healthz), ("/readyz", readyz), ("/metrics", metrics)], logger=None)


class _Server(uvicorn.Server):
    """Leaves signals to the process, which must drain before it ends."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class HttpServer:
    """Serves an ASGI application beside the work.

    Parameters
    ----------
    app : AsgiFastStream
        What is served.
    settings : HttpSettings
        Where; port 0 takes a free one.
    """

    def __init__(self, app: AsgiFastStream, settings: HttpSettings) -> None:
        # Bound before uvicorn runs, so that a taken port is an ordinary error.
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        self._socket = socket.create_server((settings.host, settings.port), family=family)
        self.url = f"http://{settings.host}:{self._socket.getsockname()[1]}"
        self._server = _Server(
            uvicorn.Config(app, lifespan="off", log_config=None, log_level="warning", access_log=False, ws="none")
        )

    async def run(self) -> None:
        """Serve until stopped, or cancelled because another part failed; the port is given back."""
        _log.info("listening on %s", self.url)
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            for server in getattr(self._server, "servers", ()):  # uvicorn closes none of them when it is cancelled
                server.close()
            self.close()

    def stop(self) -> None:
        """Make ``run`` return."""
        self._server.should_exit = True

    def close(self) -> None:
        """Give the port back, also where ``run`` was never called."""
        self._socket.close()
