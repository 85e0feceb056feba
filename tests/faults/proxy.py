"""A TCP proxy that makes a network bad: slow, narrow, cut with a reset, or silent: packets vanish, nothing is closed.

What vanishes in a silence comes after it, as TCP sends it again, unless a side has given up by then.
"""

import asyncio
import contextlib
import socket
import struct
from asyncio import Queue, StreamReader, StreamWriter
from typing import Self

from stream.local.ports import LOOPBACK

CHUNK = 64 * 1024
_IN_FLIGHT = 64


class Proxy:
    """Forwards the connections to one port of 127.0.0.1 to another.

    Parameters
    ----------
    port, target : int
        Where it listens, and where it forwards to.

    Attributes
    ----------
    latency_s : float
        How long each chunk is on its way, in each direction.
    bytes_per_s : float
        How much each direction of a connection lets through.
    """

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self.latency_s = 0.0
        self.bytes_per_s = float("inf")
        self._target = target
        self._open: set[StreamWriter] = set()
        self._cut = False
        self._flows = asyncio.Event()
        self._flows.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    def cut(self) -> None:
        """Reset all connections, and those to come."""
        self._cut = True
        self._flows.set()
        for writer in list(self._open):
            _reset(writer)

    def silence(self) -> None:
        """Let nothing through, and close nothing."""
        self._flows.clear()

    def mend(self) -> None:
        """Be a good network again."""
        self._cut = False
        self.latency_s, self.bytes_per_s = 0.0, float("inf")
        self._flows.set()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._open.add(writer)
        there: StreamWriter | None = None
        try:
            if self._cut:
                return
            back, there = await asyncio.open_connection(LOOPBACK, self._target)
            self._open.add(there)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, there))
                pumps.create_task(self._pump(back, writer))
        except* OSError:
            pass  # one side is gone, and the other is told so below
        finally:
            for side in (writer, there):
                if side is not None:
                    _reset(side)
                    self._open.discard(side)

    async def _pump(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Forward one direction until it ends; both directions end together."""
        loop = asyncio.get_running_loop()
        under_way: Queue[tuple[float, bytes]] = Queue(_IN_FLIGHT)

        async def deliver() -> None:
            while True:
                due, data = await under_way.get()
                await asyncio.sleep(max(due - loop.time(), len(data) / self.bytes_per_s))
                await self._flows.wait()
                if not data:
                    raise ConnectionResetError
                writer.write(data)
                await writer.drain()

        delivering = asyncio.create_task(deliver())
        try:
            while True:
                await self._flows.wait()
                data = await reader.read(CHUNK)
                await under_way.put((loop.time() + self.latency_s, data))
                if not data:
                    await delivering
        finally:
            delivering.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await delivering


def _reset(writer: StreamWriter) -> None:
    """Close with a reset instead of an orderly end."""
    plug = writer.get_extra_info("socket")
    if not writer.transport.is_closing() and plug is not None:
        with contextlib.suppress(OSError):
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
