"""Only one stack runs on a data folder."""

import contextlib
import fcntl
import os
import time
from pathlib import Path

from schemas.errors import ServiceUnavailableError


class FolderInUseError(ServiceUnavailableError):
    """Another stack runs on this data folder."""

    reason = "folder_in_use"


class FolderLock:
    """An exclusive lock on a folder that the system frees when its last holder ends, however that happens.

    Parameters
    ----------
    folder : Path
        Made where it does not exist.
    patience_s : float
        How long to wait, in seconds, for what a crashed run left behind to be
        stopped. A run that is alive is not waited for.

    Raises
    ------
    FolderInUseError
        If another holds it.
    """

    def __init__(self, folder: Path, patience_s: float = 30.0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "lock"
        self.fileno = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._take(folder, patience_s)
        except BaseException:
            os.close(self.fileno)
            raise
        os.ftruncate(self.fileno, 0)
        os.pwrite(self.fileno, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Give the folder back."""
        os.ftruncate(self.fileno, 0)
        os.close(self.fileno)

    def _take(self, folder: Path, patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self.fileno, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            holder = os.pread(self.fileno, 32, 0).decode()
            if _is_alive(holder) or time.monotonic() > deadline:
                raise FolderInUseError(f"{folder} is in use by process {holder or 'unknown'}: stop it first")
            time.sleep(0.1)


def _is_alive(pid: str) -> bool:
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
