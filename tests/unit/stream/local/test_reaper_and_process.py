import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stream.local.process import ManagedProcess, ProcessFailedError
from stream.local.reaper import Reaper

IGNORES_SIGTERM = """
import pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(600)
"""
SLEEPS = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text('1'); time.sleep(600)"


def is_alive(pid: int) -> bool:
    """A zombie whose parent has not collected it yet is dead."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def eventually(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def own_reaper() -> Iterator[Reaper]:
    with Reaper() as reaper:
        yield reaper


def make(tmp_path: Path, reaper: Reaper, code: str, **options: float) -> ManagedProcess:
    marker = tmp_path / "marker"
    return ManagedProcess(
        "sample",
        (sys.executable, "-c", code, str(marker)),
        log_file=tmp_path / "logs" / "sample.log",
        ready=lambda: marker.exists() and marker.read_text() != "",
        reaper=reaper,
        **options,
    )


def test_stop_ends_a_process_with_sigterm(tmp_path: Path, own_reaper: Reaper) -> None:
    process = make(tmp_path, own_reaper, SLEEPS).start()
    assert process.is_running
    process.stop()
    assert process.returncode == -signal.SIGTERM


def test_what_ignores_sigterm_is_killed_with_its_children(tmp_path: Path, own_reaper: Reaper) -> None:
    process = make(tmp_path, own_reaper, IGNORES_SIGTERM, stop_timeout_s=0.3).start()
    grandchild = int((tmp_path / "marker").read_text())
    process.stop()
    assert process.returncode == -signal.SIGKILL
    eventually(lambda: not is_alive(grandchild))


def test_a_paused_process_can_be_stopped(tmp_path: Path, own_reaper: Reaper) -> None:
    process = make(tmp_path, own_reaper, SLEEPS).start()
    process.pause()
    eventually(lambda: Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T")
    process.stop()
    assert process.returncode == -signal.SIGTERM


def test_a_killed_process_starts_again_under_a_new_pid(tmp_path: Path, own_reaper: Reaper) -> None:
    process = make(tmp_path, own_reaper, SLEEPS).start()
    first = process.pid
    process.kill()
    assert process.returncode == -signal.SIGKILL
    process.start()
    assert process.pid != first
    process.stop()


def test_a_process_that_ends_before_it_is_ready_says_what_it_logged(tmp_path: Path, own_reaper: Reaper) -> None:
    process = make(tmp_path, own_reaper, "raise SystemExit('no licence found')")
    with pytest.raises(ProcessFailedError, match=r"(?s)sample ended with status 1.*no licence found"):
        process.start()


def test_a_process_that_never_gets_ready_is_stopped(tmp_path: Path, own_reaper: Reaper) -> None:
    process = make(tmp_path, own_reaper, "import time; time.sleep(600)", ready_timeout_s=0.1)
    with pytest.raises(ProcessFailedError, match="not ready"):
        process.start()
    assert not process.is_running


def test_closing_the_reaper_stops_what_it_guards_and_nothing_else(tmp_path: Path) -> None:
    guarded, forgotten = (
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        for _ in range(2)
    )
    folder = tmp_path / "temporary"
    (folder / "inside").mkdir(parents=True)
    try:
        with Reaper() as reaper:
            reaper.guard(guarded.pid)
            reaper.guard(forgotten.pid)
            reaper.forget(forgotten.pid)
            reaper.remove_at_end(folder)
        assert guarded.wait(10) == -signal.SIGTERM
        assert forgotten.poll() is None
        assert not folder.exists()
    finally:
        for process in (guarded, forgotten):
            process.kill()
            process.wait()


def test_children_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    code = f"""
import sys, pathlib, time
from stream.local.process import ManagedProcess
from stream.local.reaper import Reaper
marker = pathlib.Path(sys.argv[1])
process = ManagedProcess("sample", (sys.executable, "-c", {SLEEPS!r}, str(marker)),
                         log_file=marker.with_name("log"), ready=marker.exists, reaper=Reaper())
process.start()
print(process.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "marker")], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)
        os.kill(parent.pid, signal.SIGKILL)
        eventually(lambda: not is_alive(child))


def test_without_its_reaper_nothing_starts_and_what_runs_can_be_stopped(tmp_path: Path) -> None:
    reaper = Reaper()
    running = make(tmp_path, reaper, SLEEPS).start()
    reaper._process.kill()
    reaper._process.wait()
    late = make(tmp_path, reaper, SLEEPS)
    with pytest.raises(BrokenPipeError):
        late.start()
    assert not late.is_running
    running.stop()
    assert not running.is_running
    reaper.close()
