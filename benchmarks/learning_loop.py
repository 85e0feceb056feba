"""From a label to a served model that has learned it, while frames stream: a short demo, as a person runs it."""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, measured

DOMAINS, SECONDS_PER_DOMAIN = 2, 60
FINISHED = {0, 1}
"""Status 1 says that so short a run does not show all that a long one must; its times are good all the same."""


def label_to_served() -> list[Figure]:
    """Run a short demo and read its report.

    Raises
    ------
    RuntimeError
        If the demo fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "stream.cli", "demo", "--domains", str(DOMAINS)]
        command += ["--seconds-per-domain", str(SECONDS_PER_DOMAIN), "--report-dir", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
        path = Path(folder) / "demo-report.json"
        if done.returncode not in FINISHED or not path.exists():
            raise RuntimeError(f"the demo failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        report = json.loads(path.read_text())
    method = (
        f"demo of {DOMAINS} simulated domains, {SECONDS_PER_DOMAIN} s each, at 5 frames/s, a frozen copy judging "
        "beside: from the label's own time to the first judgement of a version that has learned it"
    )
    served = report["label_to_served_s"]
    figures = [
        measured("label to served, median", served["p50"], "s", method, at_most=10.0),
        measured("label to served, p99", served["p99"], "s", method),
        measured("frames lost in the demo", report["frames"]["lost"], "frames", method, at_most=0),
        measured("frames judged twice in the demo", report["frames"]["judged_twice"], "frames", method, at_most=0),
    ]
    return figures + _breakdown(report, method)


def _breakdown(report: dict[str, Any], method: str) -> list[Figure]:
    released = [r["metrics"] for r in report["releases"] if r["kind"] == "release"]
    parts = {
        "label_to_learned_p50_seconds": "of it, label to learned",
        "gate_seconds": "of it, gate",
        "export_seconds": "of it, export",
        "parity_seconds": "of it, parity",
        "put_seconds": "of it, store",
    }
    return [
        measured(name, statistics.median(values), "s", f"{method}; median over releases")
        for key, name in parts.items()
        if (values := [metrics[key] for metrics in released if key in metrics])
    ]
