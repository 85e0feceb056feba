"""What breaks things breaks them: a fault that does nothing would prove nothing."""

import asyncio
import contextlib
import errno
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stream.local.ports import free_port
from tests.faults.clock import Clock
from tests.faults.disk import small_disk
from tests.faults.proxy import Proxy


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy before a server that sends back what it gets."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionResetError):
            while data := await reader.read(1024):
                writer.write(data)
        writer.close()

    port = free_port()
    server = await asyncio.start_server(echo, "127.0.0.1", port)
    async with Proxy(free_port(exclude=frozenset({port})), port) as proxy:
        yield proxy
    server.close()


async def test_a_good_network(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    data = os.urandom(300_000)
    writer.write(data)
    assert await reader.readexactly(len(data)) == data
    writer.close()


async def test_a_cut_resets_connections_and_those_to_come(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"x")
    assert await reader.readexactly(1) == b"x"
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    proxy.mend()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"y")
    assert await reader.readexactly(1) == b"y"
    writer.close()


async def test_a_silence_closes_nothing_and_delivers_later(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    proxy.silence()
    writer.write(b"x")
    reading = asyncio.create_task(reader.readexactly(1))
    assert await asyncio.wait({reading}, timeout=0.3) == (set(), {reading})
    proxy.mend()
    assert await reading == b"x"
    writer.close()


async def test_on_a_slow_network_what_was_sent_first_comes_last(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    quick_reader, quick_writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    arrived: list[str] = []

    async def echoed(name: str, source: asyncio.StreamReader) -> None:
        await source.readexactly(1)
        arrived.append(name)

    for slow in ({"latency_s": 0.5}, {"bytes_per_s": 2.0}):
        for name, value in slow.items():
            setattr(proxy, name, value)
        writer.write(b"x")
        await asyncio.sleep(0.1)
        proxy.mend()
        quick_writer.write(b"x")
        await asyncio.gather(echoed("slow", reader), echoed("quick", quick_reader))
    assert arrived == ["quick", "slow"] * 2
    writer.close()
    quick_writer.close()


def test_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", mib=1) as disk:
        file = disk.folder / "file"
        disk.fill()
        with pytest.raises(OSError, match=r"[Nn]o space") as refused:
            file.write_bytes(b"x")
        assert refused.value.errno == errno.ENOSPC
        disk.make_space()
        file.write_bytes(b"x")


def test_a_clock_that_is_set(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    code = "import time; print(time.time(), time.monotonic())"

    def read() -> tuple[float, float]:
        done = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | dict(clock.variables), capture_output=True, check=True
        )
        wall, monotonic = done.stdout.split()
        return float(wall), float(monotonic)

    before = read()
    clock.set(timedelta(hours=-1))
    after = read()
    assert after[0] < before[0] - 3000
    assert after[1] >= before[1]
    assert after[0] < datetime.now(UTC).timestamp() - 3000
