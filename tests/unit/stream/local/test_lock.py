import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stream.local.lock import FolderInUseError, FolderLock


def test_a_folder_in_use_names_its_holder_at_once(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    with pytest.raises(FolderInUseError, match=f"in use by process {os.getpid()}: stop it first"):
        FolderLock(tmp_path, patience_s=600)
    lock.release()
    FolderLock(tmp_path).release()


def test_the_lock_of_a_killed_holder_is_free(tmp_path: Path) -> None:
    code = "import sys, time, pathlib; from stream.local.lock import FolderLock\n"
    code += "lock = FolderLock(pathlib.Path(sys.argv[1])); print('held', flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(FolderInUseError):
            FolderLock(tmp_path)
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        FolderLock(tmp_path).release()
