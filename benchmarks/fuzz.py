"""``make fuzz``: tries inputs on whatever reads bytes from outside, and ends with 1 where one breaks a promise."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.figures import Figure, measured, print_table, write_results

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "fuzz.json"
BROKEN = ROOT / "fuzz-broken"
"""Where inputs are left that broke a promise."""

SEED = 20260101
EXAMPLES = 600
"""Of each property test."""
MEMORY, FILES = 50_000, 8_000
RUNS: Mapping[str, int] = {
    "PNG image": MEMORY,
    "TIFF image": MEMORY,
    "frame record": MEMORY,
    "label": MEMORY,
    "images of a label": MEMORY // 2,
    "JSON event": MEMORY,
    "stored sample": MEMORY,
    "dead letter": MEMORY,
    "TIFF stack file": FILES,
    "JPEG file": FILES,
    "raw array file": FILES,
    "artifact": FILES,
}
"""Coverage-guided runs of each target; those that go through files take longer."""
PROCESSES = 2
_EXECUTED = re.compile(r"^stat::number_of_executed_units: *([0-9]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Tried:
    """What was tried on a target, in one way.

    Attributes
    ----------
    target : str
        What reads the bytes.
    inputs : int
        How many.
    crashes : int
        Whether one of them broke a promise: the search ends there.
    """

    target: str
    inputs: int
    crashes: int


def guided(target: str, runs: int, folder: Path) -> Tried:
    """Try inputs that lead to code not seen yet, in a process of its own."""
    corpus = folder / re.sub(r"\W+", "-", target) / "corpus"
    command = [sys.executable, "-m", "tests.fuzz.harness", target, str(corpus), str(runs), str(SEED)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
    output = done.stdout + done.stderr
    executed = _EXECUTED.search(output)
    if done.returncode:
        BROKEN.mkdir(exist_ok=True)
        for path in corpus.parent.glob("broken-*"):
            shutil.copy(path, BROKEN / f"{corpus.parent.name}-{path.name}")
        sys.stderr.write(f"{target}:\n{output[-4000:]}\n")
    elif executed is None:
        msg = f"the fuzzer of {target} does not say how many inputs it tried:\n{output[-2000:]}"
        raise RuntimeError(msg)
    return Tried(target, int(executed[1]) if executed else 0, int(bool(done.returncode)))


def properties(folder: Path) -> list[Tried]:
    """Try inputs of the right structure and the wrong content, with hypothesis."""
    path = folder / "tally.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--hypothesis-seed={SEED}"]
    command += ["tests/fuzz", f"--fuzz-tally={path}"]
    environment = os.environ | {"FUZZ_EXAMPLES": str(EXAMPLES)}
    done = subprocess.run(  # noqa: S603 - our own tests
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )
    tried = [Tried(name, inputs, broken) for name, (inputs, _, broken) in json.loads(path.read_text()).items()]
    if done.returncode:
        sys.stderr.write(done.stdout[-8000:])
        if not any(found.crashes for found in tried):
            tried.append(Tried("limits", 0, 1))
    return tried


def figures(by_coverage: Sequence[Tried], by_property: Sequence[Tried]) -> list[Figure]:
    """Return a row for each target, and their sum."""
    rows = []
    names = list(dict.fromkeys(tried.target for tried in (*by_coverage, *by_property)))
    for name in names:
        own = [[tried for tried in way if tried.target == name] for way in (by_coverage, by_property)]
        first, second = (sum(tried.inputs for tried in way) for way in own)
        crashes = sum(tried.crashes for way in own for tried in way)
        method = f"{first + second} inputs tried: {first} guided by coverage, {second} by structure"
        rows.append(measured(name, crashes, "crashes", method, at_most=0))
    everything = (*by_coverage, *by_property)
    total = sum(tried.inputs for tried in everything)
    broken = sum(tried.crashes for tried in everything)
    rows.append(measured("all targets", broken, "crashes", f"{total} inputs tried", at_most=0))
    rows.append(measured("inputs tried", total, "inputs", "on all targets, in both ways"))
    return rows


def main() -> int:
    """Try, write, print; return the exit status."""
    if importlib.util.find_spec("atheris") is None:
        sys.stderr.write(
            "make fuzz needs atheris, which is published for Linux and Python below 3.14; "
            "the property tests alone run with: python -m pytest tests/fuzz\n"
        )
        return 2
    with tempfile.TemporaryDirectory(prefix="weldstream-fuzz-") as name, ThreadPoolExecutor(PROCESSES) as pool:
        folder = Path(name)
        structured = pool.submit(properties, folder)
        searches = [pool.submit(guided, target, runs, folder) for target, runs in RUNS.items()]
        found = figures([search.result() for search in searches], structured.result())
    write_results(found, RESULTS)
    print_table(found, Console())
    return 0 if all(figure.passed for figure in found) else 1


if __name__ == "__main__":
    sys.exit(main())
