"""The whole loop as a person runs it: every process real, on data nobody here made."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

FIRST_MODEL_SECONDS = 15


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start the demo with a cache of its own for first models."""
    command = [sys.executable, "-m", "stream.cli", "demo", "--report-dir", str(folder), *arguments]
    # Kafka's jars stay where they are; only the first model is trained anew, and briefly.
    environment = {**os.environ, "WELDSTREAM_CACHE_DIR": os.environ.get("WELDSTREAM_CACHE_DIR", str(jar_cache()))}
    environment["XDG_CACHE_HOME"] = str(folder / "cache")
    with (folder / "output.txt").open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)


def jar_cache() -> Path:
    from stream.local.jars import cache_folder

    return cache_folder()


def run(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run the demo to its end and return its report; whether learning showed, its status, is not asked here."""
    process = start(folder, "--first-model-seconds", str(FIRST_MODEL_SECONDS), *arguments)
    status = process.wait(timeout=500)
    output = (folder / "output.txt").read_text()
    assert status in {0, 1}, output
    report = folder / "demo-report.json"
    assert report.is_file(), output
    assert (folder / "demo-report.html").is_file()
    content: dict[str, Any] = json.loads(report.read_text())
    return content


def assert_nothing_lost(report: dict[str, Any]) -> None:
    frames, labels = report["frames"], report["labels"]
    assert frames["published"] == frames["judged"] > 0
    assert (frames["lost"], frames["judged_twice"]) == (0, 0)
    assert labels["requested"] >= labels["answered"] > 0
    assert labels["learned"] > 0
    assert report["releases"][0]["kind"] == "initial"
    # A release was made or refused: either way a candidate with new labels was judged.
    assert len(report["releases"]) + len(report["refused"]) >= 2


@pytest.mark.timeout(600)
def test_measured_weld_scans_are_judged_flagged_labelled_and_learned(tmp_path: Path, shared_data: Path) -> None:
    report = run(
        tmp_path,
        "--scenario=ml-ndt",
        f"--data={shared_data / 'ml_ndt'}",
        "--seconds-per-domain=30",
        "--audit-rate=1",
    )
    assert_nothing_lost(report)
    measured = report["domains"][1]
    assert measured["name"] == "ml-ndt"
    assert None not in (measured["dice_frozen"], measured["dice_served_start"], measured["dice_served_end"])


@pytest.mark.timeout(600)
def test_tiles_are_a_stream_of_six_domains_scored_before_and_after(tmp_path: Path, shared_data: Path) -> None:
    report = run(
        tmp_path,
        "--scenario=tiles",
        f"--data={shared_data / 'magnetic_tile'}",
        "--seconds-per-domain=18",
        "--exam-frames=12",
    )
    assert_nothing_lost(report)
    assert [d["name"] for d in report["domains"]] == [f"tile-exposure-{n}" for n in range(1, 7)]
    assert all(d[key] is not None for d in report["domains"] for key in ("dice_served_start", "dice_served_end"))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_demo_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path)
    us = psutil.Process(process.pid)
    children: list[psutil.Process] = []
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        children = us.children(recursive=True)
        # Kafka, Redis, the reaper, two inference processes and the learner.
        if len(children) >= 6:
            break
        time.sleep(0.2)
    assert len(children) >= 6, (tmp_path / "output.txt").read_text()
    process.send_signal(number)
    try:
        process.wait(timeout=60)
    finally:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive, f"still running: {[p.cmdline()[:4] for p in alive]}"
