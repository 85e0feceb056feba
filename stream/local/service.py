"""One of our services as a child process, with its health endpoints."""

import http.client
import sys
from collections.abc import Mapping
from pathlib import Path

from stream.local.ports import LOOPBACK
from stream.local.process import ManagedProcess
from stream.local.reaper import Reaper


def http_status(port: int, path: str, *, timeout_s: float = 2.0) -> int | None:
    """Return the status that 127.0.0.1 answers a GET with; None where it does not answer."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


class ServiceProcess(ManagedProcess):
    """``python -m MODULE``, which serves ``/healthz``, ``/readyz`` and ``/metrics``.

    Parameters
    ----------
    name, module : str
        For messages, and what to run.
    port : int
        Where its health endpoints are; it is told in ``WELDSTREAM_HTTP__PORT``.
    env : mapping
        Its whole environment beside that.
    log_file, cwd : Path
        Its log and working folder.
    reaper : Reaper
        Stops it should this process die.
    """

    def __init__(
        self,
        name: str,
        module: str,
        *,
        port: int,
        env: Mapping[str, str],
        log_file: Path,
        cwd: Path,
        reaper: Reaper,
    ) -> None:
        self.module = module
        self.port = port
        super().__init__(
            name,
            (sys.executable, "-m", module),
            log_file=log_file,
            ready=self.is_ready,
            reaper=reaper,
            env={**env, "WELDSTREAM_HTTP__HOST": LOOPBACK, "WELDSTREAM_HTTP__PORT": str(port)},
            cwd=cwd,
        )

    @property
    def url(self) -> str:
        """Where its health and metrics are."""
        return f"http://{LOOPBACK}:{self.port}"

    def is_alive(self) -> bool:
        """Whether it runs and answers, though it may not serve yet."""
        return http_status(self.port, "/healthz") == http.HTTPStatus.OK

    def is_ready(self) -> bool:
        """Whether it serves."""
        return http_status(self.port, "/readyz") == http.HTTPStatus.OK

    def wait_alive(self, timeout_s: float | None = None) -> None:
        """Wait until it answers.

        Raises
        ------
        ProcessFailedError
            If it has ended, or does not answer in time.
        """
        self.wait_until(self.is_alive, "alive", self.ready_timeout_s if timeout_s is None else timeout_s)
