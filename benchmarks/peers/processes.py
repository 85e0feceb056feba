"""The serving processes of peers, each from an environment of its own."""

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from schemas.settings import ENV_PREFIX
from stream.local.process import ManagedProcess, ProcessFailedError

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / ".venv-peers"


def program(environment: str, name: str) -> str:
    """Return the path of a program in a peer's environment.

    Raises
    ------
    FileNotFoundError
        If the environment has not been made; the message says what makes it.
    """
    path = ENVIRONMENTS / environment / "bin" / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; make bench-peers installs it")
    return str(path)


def variables(environment: str, more: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a peer's process: ours without our settings, and our modules to import."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
    path = f"{ENVIRONMENTS / environment / 'bin'}{os.pathsep}{kept.get('PATH', '')}"
    return kept | {"PATH": path, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | dict(more)


async def started(process: ManagedProcess) -> None:
    """Start a process and wait until it is ready, without holding up the load."""
    process.start(wait=False)
    await asyncio.to_thread(process.wait_ready)


PATIENCE_SECONDS = 30.0
"""From SIGTERM to SIGKILL."""


async def terminated(process: ManagedProcess, timeout_s: float = PATIENCE_SECONDS) -> bool:
    """Send SIGTERM to the process itself, as a supervisor does, not to its children; tell whether it ended.

    One that has not ended in time is killed, as a supervisor does too.
    """
    os.kill(process.pid, signal.SIGTERM)
    try:
        await asyncio.to_thread(process.wait, timeout_s)
    except ProcessFailedError:
        process.kill()
        return False
    return True
