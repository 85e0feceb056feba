import os
import sys
import threading

import pytest

from inference.threads import BACKGROUND_NICE, background_thread


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of single threads")
def test_background_work_yields_and_nobody_else_does() -> None:
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    with background_thread("test") as background:
        its = background.submit(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())).result()
    assert its == max(before, BACKGROUND_NICE)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before
