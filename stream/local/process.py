"""A child process that can be waited for, stopped, killed, paused and started again."""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from schemas.errors import ServiceUnavailableError
from stream.local.reaper import Reaper, signal_group

logger = logging.getLogger(__name__)

POLL_S = 0.05


class ProcessFailedError(ServiceUnavailableError):
    """A child process ended, or did not become ready in time; the message ends with the tail of its log."""

    retriable = False
    reason = "process_failed"


class ManagedProcess:
    """One child process in a process group of its own.

    Ctrl-C in a terminal reaches the parent only, which stops its children in the order that it chooses.

    Parameters
    ----------
    name : str
        For messages.
    command : sequence of str
        Program and arguments.
    log_file : Path
        Where its standard output and error are appended.
    ready : callable
        Whether it serves; called while it is waited for.
    reaper : Reaper
        Stops it should this process die.
    env : mapping, optional
        The whole environment; by default ours.
    cwd : Path, optional
        Its working folder; by default ours.
    ready_timeout_s, stop_timeout_s : float
        How long to wait for it to serve, and for it to end after SIGTERM
        before it is killed, in seconds.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log_file: Path,
        ready: Callable[[], bool],
        reaper: Reaper,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        ready_timeout_s: float = 60.0,
        stop_timeout_s: float = 20.0,
    ) -> None:
        self.name = name
        self.command = tuple(command)
        self.log_file = log_file
        self.ready_timeout_s = ready_timeout_s
        self.stop_timeout_s = stop_timeout_s
        self._ready = ready
        self._reaper = reaper
        self._env = dict(env) if env is not None else None
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id, also its process group.

        Raises
        ------
        ProcessFailedError
            If it was never started.
        """
        if self._process is None:
            raise ProcessFailedError(f"{self.name} was not started")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; None while it runs or before it was started."""
        return None if self._process is None else self._process.poll()

    def start(self, *, wait: bool = True) -> Self:
        """Start it, unless it runs already, and wait until it serves.

        Raises
        ------
        ProcessFailedError
            If it ends or is not ready in time; it is stopped then.
        """
        if not self.is_running:
            self.log_file.parent.mkdir(parents=True, exist_ok=True)
            with self.log_file.open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603 - commands are built here, not by users
                    self.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self._env,
                    cwd=self._cwd,
                    start_new_session=True,
                )
            logger.debug("started %s, pid %d", self.name, self._process.pid)
        try:
            self._reaper.guard(self.pid)
            if wait:
                self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def wait_ready(self, timeout_s: float | None = None) -> None:
        """Wait until it serves.

        Raises
        ------
        ProcessFailedError
            If it has ended, or is not ready in time.
        """
        self.wait_until(self._ready, "ready", self.ready_timeout_s if timeout_s is None else timeout_s)

    def wait_until(self, condition: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Wait until ``condition`` holds while the process runs; ``what`` names it in the error.

        Raises
        ------
        ProcessFailedError
            If it has ended, or the condition does not hold in time.
        """
        deadline = time.monotonic() + timeout_s
        while not condition():
            if not self.is_running:
                raise ProcessFailedError(f"{self.name} ended with status {self.returncode}: {self.log_tail()}")
            if time.monotonic() > deadline:
                raise ProcessFailedError(f"{self.name} is not {what} after {timeout_s:g} s: {self.log_tail()}")
            time.sleep(POLL_S)

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait until it ends of itself and return its exit status.

        Raises
        ------
        ProcessFailedError
            If it was never started, or still runs after ``timeout_s`` seconds.
        """
        if self._process is None:
            raise ProcessFailedError(f"{self.name} was not started")
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ProcessFailedError(f"{self.name} still runs after {timeout_s} s") from error
        self._ended(self._process)
        return status

    def stop(self) -> None:
        """End it in an orderly way: SIGTERM, and SIGKILL where that does not help in time."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            signal_group(process.pid, signal.SIGTERM)
            signal_group(process.pid, signal.SIGCONT)  # a paused process takes no SIGTERM
            try:
                process.wait(self.stop_timeout_s)
            except subprocess.TimeoutExpired:
                logger.warning("%s did not stop in %g s and is killed", self.name, self.stop_timeout_s)
        self._ended(process)

    def kill(self) -> None:
        """End it at once, as a crash does (SIGKILL), with everything in its process group."""
        if self._process is not None:
            self._ended(self._process)

    def pause(self) -> None:
        """Freeze it (SIGSTOP), as a long stall does."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause` (SIGCONT)."""
        os.killpg(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Stop it in an orderly way and start it again with the same command."""
        self.stop()
        self.start()

    def log_tail(self, size: int = 2000) -> str:
        """Return the last ``size`` bytes of its log as text."""
        try:
            with self.log_file.open("rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(0, log.tell() - size))
                return log.read().decode(errors="replace").strip()
        except FileNotFoundError:
            return "(no log)"

    def _ended(self, process: subprocess.Popen[bytes]) -> None:
        # Also after an orderly end: a grandchild may still be in the group.
        signal_group(process.pid, signal.SIGKILL)
        process.wait()
        self._reaper.forget(process.pid)
