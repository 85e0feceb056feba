"""``python -m deploy.supply.audit``: pins, withdrawn releases, known vulnerabilities; what cannot be told fails.

pip-audit itself ends with 0 where the index does not know a package, and so
does it behind a mirror without the vulnerability interface: all would pass
unaudited. Here a dependency that was not looked up is a failure.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.supply.locks import LOCKS, lock_file, problems_of

INSTALLED = ("core", "learner")
"""What the images install."""
SERVICES = ("pypi", "osv")
"""Asked in this order, until one knows every dependency."""
GOOD, BAD, UNKNOWN = 0, 1, 2

Run = Callable[[Sequence[str]], subprocess.CompletedProcess[str]]


@dataclass(slots=True)
class Findings:
    """What an audit found.

    Attributes
    ----------
    bad : list of str
        What must be repaired.
    unknown : list of str
        What could not be told.
    good : list of str
        What was looked at and is in order.
    """

    bad: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    good: list[str] = field(default_factory=list)

    @property
    def status(self) -> int:
        """The exit status: 1 if something is bad, else 2 if something could not be told, else 0."""
        return BAD if self.bad else UNKNOWN if self.unknown else GOOD


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a program of this environment."""
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments


def audit_vulnerabilities(lock: str, found: Findings, run: Run) -> None:
    """Ask the services for known vulnerabilities of everything in a lock."""
    tool = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--progress-spinner=off"]
    why = []
    for service in SERVICES:
        done = run([*tool, "--format=json", f"--vulnerability-service={service}", "-r", str(lock_file(lock))])
        try:
            dependencies: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
        except (ValueError, KeyError):
            why.append(f"{service}: {(done.stderr.strip().splitlines() or ['no answer'])[-1][:200]}")
            continue
        for dependency in dependencies:
            for vulnerability in dependency.get("vulns", ()):
                fixed = ", ".join(vulnerability["fix_versions"]) or "no version"
                text = f"{dependency['name']} {dependency['version']} has {vulnerability['id']}, fixed in {fixed}"
                found.bad.append(f"{lock}: {text}")
        skipped = [d for d in dependencies if "skip_reason" in d]
        if dependencies and not skipped:
            found.good.append(f"{lock}: {len(dependencies)} dependencies were looked up at {service}")
            return
        why.append(f"{service}: {len(skipped)} of {len(dependencies)} are not known there")
    found.unknown.append(f"{lock}: vulnerabilities cannot be told ({'; '.join(why)})")


def audit_files(lock: str, found: Findings, run: Run) -> None:
    """Fetch what an image installs: every file must have a pinned hash, and none may be withdrawn."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        options = ["--dry-run", "--quiet", "--no-deps", "--ignore-installed", "--require-hashes"]
        done = run(
            [sys.executable, "-m", "pip", "install", *options, "-r", str(lock_file(lock)), "--report", str(report)]
        )
        if done.returncode != 0 or not report.exists():
            last = (done.stderr.strip().splitlines() or ["no answer"])[-1]
            mismatch = "DO NOT MATCH THE HASHES" in done.stderr
            text = "a file is not the one that is pinned" if mismatch else "the files cannot be fetched"
            (found.bad if mismatch else found.unknown).append(f"{lock}: {text}: {last[:200]}")
            return
        items = json.loads(report.read_text("utf-8"))["install"]
    for item in items:
        if item["is_yanked"]:
            found.bad.append(f"{lock}: {item['metadata']['name']} {item['metadata']['version']} was withdrawn")
    found.good.append(f"{lock}: {len(items)} files have their pinned hashes")


def audit(run: Run = run) -> Findings:
    """Audit everything that is pinned.

    Parameters
    ----------
    run : callable
        Runs a command and returns what it printed.
    """
    found = Findings()
    problems = problems_of()
    found.bad += problems
    if not problems:
        found.good.append("every dependency is one version with the hashes of its files")
    for lock in LOCKS:
        audit_vulnerabilities(lock, found, run)
    for lock in INSTALLED:
        audit_files(lock, found, run)
    return found


def main() -> int:
    """Print what was found; return the exit status."""
    found = audit()
    for word, lines in (("good", found.good), ("BAD", found.bad), ("NOT KNOWN", found.unknown)):
        for line in lines:
            sys.stdout.write(f"{word}: {line}\n")
    if found.status == UNKNOWN:
        sys.stdout.write("the audit is not complete: it needs a network with the vulnerability services\n")
    return found.status


if __name__ == "__main__":
    sys.exit(main())
