"""A clock that only one process sees and that can be set while it runs, as an operator or NTP sets a machine's."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from tests.conftest import unavailable

PLACES = (
    "/usr/lib/*/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
)


def faketime_library() -> Path:
    """Return what stands between a process and the machine's clock; skips the test where it is not installed."""
    found = [path for place in PLACES for path in Path("/").glob(place.lstrip("/"))]
    if not found:
        unavailable("libfaketime is not installed; install it with: sudo apt-get install -y faketime")
    return found[0]


class Clock:
    """The wall clock of the processes that are started with its variables; monotonic time goes on, as on a machine.

    Parameters
    ----------
    folder : Path
        Where the file lies from which the processes read how far it is off.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.variables: Mapping[str, str] = {
            "LD_PRELOAD": str(faketime_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        self.set(timedelta())

    def set(self, off: timedelta) -> None:
        """Make the clock differ from the machine's by so much from now on."""
        written = self._file.with_suffix(".new")
        written.write_text(f"{off.total_seconds():+.0f}s\n")
        written.replace(self._file)
