"""Asks by HTTP and notes when each answer came."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from benchmarks.peers.peer import Answer, Send
from stream.local.ports import LOOPBACK

Read = Callable[[str, Any, float], Answer]
"""Reads an answer, given the frame's id, the JSON and when it came."""

TIMEOUT_SECONDS = 30.0


class Asker:
    """Sends requests to one address; several may be under way.

    Parameters
    ----------
    port, path : int, str
        Where to.
    read : callable
        Reads a success.
    """

    def __init__(self, port: int, path: str, read: Read) -> None:
        self._client = httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", timeout=TIMEOUT_SECONDS)
        self._path = path
        self._read = read
        self.answers: list[Answer] = []

    def sender(self, frame_id: str, content: bytes, headers: Mapping[str, str]) -> Send:
        """Return what asks for one frame, once."""
        return lambda: self._ask(frame_id, content, headers)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _ask(self, frame_id: str, content: bytes, headers: Mapping[str, str]) -> None:
        loop = asyncio.get_running_loop()
        try:
            response = await self._client.post(self._path, content=content, headers=headers)
        except httpx.HTTPError as error:
            self.answers.append(Answer(frame_id, loop.time(), refused=type(error).__name__))
            return
        if response.is_success:
            self.answers.append(self._read(frame_id, response.json(), loop.time()))
        else:
            reason = f"status {response.status_code}: {response.text[:120]}"
            self.answers.append(Answer(frame_id, loop.time(), refused=reason))
