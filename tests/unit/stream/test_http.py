import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from prometheus_client import CollectorRegistry

from inference.metrics import InferenceMetrics
from schemas.settings import HttpSettings
from stream.http import HttpServer, make_app


@asynccontextmanager
async def client(reasons: list[str | None]) -> AsyncIterator[httpx.AsyncClient]:
    metrics = InferenceMetrics(CollectorRegistry())
    metrics.frames.labels("judged").inc(3)
    server = HttpServer(make_app(metrics.registry, lambda: reasons[0]), HttpSettings(port=0))
    serving = asyncio.create_task(server.run())
    async with httpx.AsyncClient(base_url=server.url) as http:
        yield http
    server.stop()
    await serving


async def test_health_readiness_and_metrics() -> None:
    reasons: list[str | None] = ["no model is loaded yet"]
    async with client(reasons) as http:
        assert (await http.get("/healthz")).status_code == 200
        waiting = await http.get("/readyz")
        assert (waiting.status_code, waiting.json()["reason"]) == (503, "no model is loaded yet")
        reasons[0] = None
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
        shown = await http.get("/metrics")
        assert 'weldstream_inference_frames_total{outcome="judged"} 3.0' in shown.text
        assert shown.headers["content-type"].startswith("text/plain")
        assert (await http.get("/else")).status_code == 404
        assert (await http.post("/healthz")).status_code == 405


async def test_a_server_that_is_cancelled_gives_its_port_back() -> None:
    server = HttpServer(make_app(CollectorRegistry(), lambda: None), HttpSettings(port=0))
    port = int(server.url.rsplit(":", 1)[1])
    running = asyncio.create_task(server.run())
    async with asyncio.timeout(10), httpx.AsyncClient(base_url=server.url) as client:
        assert (await client.get("/healthz")).status_code == 200
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
