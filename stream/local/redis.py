"""A real Redis as a child process."""

import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from stream.local.ports import LOOPBACK
from stream.local.process import ManagedProcess
from stream.local.reaper import Reaper


def answers_ping(port: int, *, timeout_s: float = 0.5) -> bool:
    """Return whether a Redis on 127.0.0.1 serves; one that still loads its data does not."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout_s) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


class RedisServer(ManagedProcess):
    """A Redis on loopback.

    Killed or stopped, it starts again on the same port, with its data where it
    is durable.

    Parameters
    ----------
    folder : Path
        Its data and log.
    executable : Path
        redis-server.
    port : int
        Where clients connect.
    reaper : Reaper
        Stops it should this process die.
    durable : bool
        Whether it writes an append-only file once a second, so that a crash
        loses about the last second.
    options : mapping
        More settings by name, such as ``maxmemory``.
    ready : callable, optional
        Whether it serves; by default it is asked in plain text.
    """

    def __init__(
        self,
        folder: Path,
        *,
        executable: Path,
        port: int,
        reaper: Reaper,
        durable: bool = True,
        options: Mapping[str, str] | None = None,
        ready: Callable[[], bool] | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.port = port
        settings = {
            "port": str(port),
            "bind": LOOPBACK,
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes" if durable else "no",
            "appendfsync": "everysec",
            # A full memory must refuse the newcomer, not forget a sample silently.
            "maxmemory-policy": "noeviction",
            **(options or {}),
        }
        super().__init__(
            "redis",
            (str(executable), *(word for name, value in settings.items() for word in (f"--{name}", value))),
            log_file=self.folder / "redis.log",
            ready=ready or (lambda: answers_ping(port)),
            reaper=reaper,
        )

    @property
    def url(self) -> str:
        """``redis://`` URL for clients."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    def prepare(self) -> None:
        """Make its folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
