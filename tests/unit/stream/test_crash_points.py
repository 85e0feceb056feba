import subprocess
import sys

import pytest

from stream.crash_points import BadCrashPointError, CrashPoints


def test_nothing_happens_unless_told() -> None:
    CrashPoints().reach("sent")
    CrashPoints("committed:1").reach("sent")


@pytest.mark.parametrize("where", ["sent", "sent:", ":1", "sent:0", "sent:x"])
def test_what_cannot_be_read_is_refused(where: str) -> None:
    with pytest.raises(BadCrashPointError, match="name:n"):
        CrashPoints(where)


def test_the_process_dies_the_nth_time() -> None:
    program = (
        "from stream.crash_points import CrashPoints\n"
        "crash = CrashPoints('sent:2')\n"
        "for n in range(3):\n    print(n, flush=True)\n    crash.reach('sent')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (-9, "0\n1\n")
