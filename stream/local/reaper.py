"""A small process that outlives its parent by a moment, to stop what the parent left running.

It reads one command a line from its standard input: ``+PGID`` guards a process group, ``-PGID`` forgets it,
``rm PATH`` names a folder to delete at the end. When the input ends, however the parent died, ``kill -9`` included, it
stops every group that it still guards. An orderly parent leaves none.

Unlike Linux's parent-death signal it also works on macOS, reaches grandchildren, and does not fire when merely the
thread that started a child ends.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Self

GRACE_S = 5.0


class Reaper:
    """The parent's side: starts the process and tells it what to guard.

    Parameters
    ----------
    keep_open : tuple of int
        File descriptors that it holds until it is done; the lock of a data
        folder for instance, which is then free only when nothing runs in it.
    """

    def __init__(self, keep_open: tuple[int, ...] = ()) -> None:
        self._write_lock = threading.Lock()
        self._process = subprocess.Popen(  # noqa: S603 - our own file
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=keep_open,
            start_new_session=True,
        )

    def guard(self, group: int) -> None:
        """Stop this process group should the caller die.

        Raises
        ------
        BrokenPipeError
            If the reaper was killed and can guard nothing.
        """
        self._send(f"+{group}")

    def forget(self, group: int) -> None:
        """Leave this process group alone: it has ended."""
        # Should the reaper itself have been killed, the others must still be stopped.
        with contextlib.suppress(BrokenPipeError):
            self._send(f"-{group}")

    def remove_at_end(self, folder: Path) -> None:
        """Delete this folder when the caller is gone."""
        self._send(f"rm {folder}")

    def close(self) -> None:
        """Stop what is still guarded and wait until that is done."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, line: str) -> None:
        pipe = self._process.stdin
        if pipe is None:  # pragma: no cover - Popen was given a pipe
            return
        with self._write_lock:
            pipe.write(f"{line}\n".encode())
            pipe.flush()


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; return whether it still exists."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        # macOS answers EPERM for a group of which only a zombie is left.
        return False
    return True


def stop_groups(groups: Iterable[int], grace_s: float = GRACE_S) -> None:
    """End process groups: SIGTERM, then SIGKILL for what is left after ``grace_s`` seconds."""
    left = {group for group in groups if signal_group(group, signal.SIGTERM)}
    for group in left:
        signal_group(group, signal.SIGCONT)  # a paused process takes no SIGTERM
    deadline = time.monotonic() + grace_s
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = {group for group in left if signal_group(group, 0)}
    for group in left:
        signal_group(group, signal.SIGKILL)


def main(lines: Iterable[str]) -> None:
    """Follow commands until they end, then clean up."""
    groups: set[int] = set()
    folders: list[str] = []
    for line in lines:
        command = line.rstrip("\n")
        if command.startswith("+"):
            groups.add(int(command[1:]))
        elif command.startswith("-"):
            groups.discard(int(command[1:]))
        elif command.startswith("rm "):
            folders.append(command[3:])
    stop_groups(groups)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(iter(sys.stdin.readline, ""))
