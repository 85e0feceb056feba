"""Writes what is generated of the documentation: ``python docs/generate.py [--check]``.

``--check`` writes nothing, names what is not current, and ends with 1.
"""  # noqa: INP001 - a script, run by its path

import sys
from pathlib import Path

from benchmarks import fuzz_page, guarantees
from benchmarks.learning import page as learning_page
from benchmarks.page import page
from inference.recall_settings import RecallerSettings
from inference.settings import InferenceSettings
from learner.settings import LearnerSettings
from stream.docs import settings_table, wire_documents

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = """# Settings

Every process reads variables named `WELDSTREAM_<SECTION>__<FIELD>`. A field that its section does not have ends it with
its name. Secrets may lie in files named like the variables, in a folder that `WELDSTREAM_SECRETS_DIR` names.

"""


def documents(root: Path) -> dict[Path, str]:
    """Return every generated file with its content."""
    wanted = {root / "docs" / name: text for name, text in wire_documents().items()}
    results = root / "benchmarks" / "results"
    wanted[root / "docs" / "benchmarks.md"] = page(results)
    wanted[root / "docs" / "guarantees.md"] = guarantees.page(results)
    wanted[root / "docs" / "fuzzing.md"] = fuzz_page.page(results)
    wanted[root / "docs" / "continual-learning.md"] = learning_page.page(results)
    table = settings_table((InferenceSettings, RecallerSettings, LearnerSettings))
    wanted[root / "docs" / "settings.md"] = f"{SETTINGS}{table}\n"
    return wanted


def stale(root: Path) -> list[Path]:
    """Return the files that are missing, not current, or generated for a topic that is gone."""
    wanted = documents(root)
    gone = set((root / "docs" / "schemas").glob("*.json")) - wanted.keys()
    return sorted(gone) + [p for p, text in wanted.items() if not p.exists() or p.read_text("utf-8") != text]


def main(arguments: list[str]) -> int:
    """Write or check; return the exit status."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python docs/generate.py [--check]\n")
        return 2
    wanted = documents(ROOT)
    changed = stale(ROOT)
    for path in changed:
        name = path.relative_to(ROOT)
        if arguments:
            sys.stderr.write(f"{name} is not current; run: python docs/generate.py\n")
        elif path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path], "utf-8")
            sys.stdout.write(f"wrote {name}\n")
        else:
            path.unlink()
            sys.stdout.write(f"removed {name}\n")
    return 1 if arguments and changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
