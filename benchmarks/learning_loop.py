"""From a label to a served model that has learned it, while frames stream: a short demo, as a person runs it."""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
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
    labels, served = report["labels"], report["label_to_served_s"]
    method = (
        f"demo of {DOMAINS} simulated domains, {SECONDS_PER_DOMAIN} s each, at 5 frames/s, a frozen copy judging "
        "beside, whatever Dice it reached: from the label's own time to the first judgement of a version that has "
        f"learned it; of {labels['answered']} labels {labels['answered'] - labels['served']} were not served before "
        "the run ended"
    )
    median = report["seconds"]["streaming"] if served["p50_of_all"] is None else served["p50_of_all"]
    return [
        measured("label to served, median", median, "s", f"{method}, and count as the longest", at_most=10.0),
        measured("label to served, p99 of those served", served["p99"], "s", method),
        *_breakdown(served["parts"], report, method),
        measured("frames lost in the demo", report["frames"]["lost"], "frames", method, at_most=0),
        measured("frames judged twice in the demo", report["frames"]["judged_twice"], "frames", method, at_most=0),
    ]


def _breakdown(parts: Mapping[str, float], report: Mapping[str, Any], method: str) -> list[Figure]:
    """Tell where the time goes: medians over labels, and within them medians over releases."""
    names = {
        "to_training_state": "of it, label to the training state that is released",
        "to_announcement": "of it, training state to announcement",
        "to_judgement": "of it, announcement to first judgement",
    }
    figures = [measured(name, parts[key], "s", f"{method}; median over labels") for key, name in names.items()]
    within = {
        "label_to_learned_p50_seconds": "label to learned",
        "gate_seconds": "gate",
        "export_seconds": "export",
        "parity_seconds": "parity",
        "put_seconds": "store",
    }
    released = [r["metrics"] for r in report["releases"] if r["kind"] == "release"]
    figures += [
        measured(f"of a release, {name}", statistics.median(values), "s", f"{method}; median over releases")
        for key, name in within.items()
        if (values := [metrics[key] for metrics in released if key in metrics])
    ]
    return figures
