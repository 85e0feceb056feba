"""The lock files, and the rules that they keep without any network: ``python -m deploy.supply.locks``."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("core", "learner", "dev")
"""What inference installs, what the learner installs, and what everything together needs."""

_PIN = re.compile(r"^(?P<name>[a-z0-9][a-z0-9._-]*)(?:\[[a-z0-9,_-]+\])?==(?P<version>[^\s;]+)(?P<marker>\s*;.*)?$")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Pin:
    """One pinned dependency.

    Attributes
    ----------
    name, version : str
        Of the distribution.
    hashes : tuple of str
        sha256 of every file of it that may be installed.
    """

    name: str
    version: str
    hashes: tuple[str, ...]


def lock_file(lock: str, root: Path = ROOT) -> Path:
    """Return the path of a lock."""
    return root / "requirements" / f"{lock}.txt"


def read_lock(text: str) -> tuple[list[Pin], list[str]]:
    """Return the pins of a lock file, and what in it is none.

    Parameters
    ----------
    text : str
        Requirements with hashes, as ``make lock`` writes them.
    """
    lines = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*$", "", text)).splitlines()
    pins, problems = [], []
    for line in filter(None, (line.strip() for line in lines)):
        requirement = line.split(" --hash=", 1)[0].strip()
        found = _PIN.match(requirement)
        hashes = tuple(_HASH.findall(line))
        if found is None:
            problems.append(f"{requirement!r} is not a name with one version")
        elif not hashes or line.count("--hash=") != len(hashes):
            problems.append(f"{requirement!r} is not pinned by sha256 alone")
        else:
            pins.append(Pin(found["name"], found["version"], hashes))
    return pins, problems


def problems_of(root: Path = ROOT) -> list[str]:
    """Return what is wrong with the locks; nothing is asked of any index.

    A dependency must be one version of one name with the sha256 of its
    files, nothing may come from elsewhere than an index, and what the
    images install must be what the tests ran with.
    """
    problems = []
    locks: dict[str, set[Pin]] = {}
    for lock in LOCKS:
        pins, wrong = read_lock(lock_file(lock, root).read_text("utf-8"))
        problems += [f"{lock}: {text}" for text in wrong]
        if not pins:
            problems.append(f"{lock}: nothing is pinned")
        locks[lock] = set(pins)
    for lock in LOCKS[:-1]:
        problems += [
            f"{lock}: {p.name} {p.version} is not what dev has" for p in sorted_pins(locks[lock] - locks["dev"])
        ]
    return problems


def sorted_pins(pins: set[Pin]) -> list[Pin]:
    """Return pins by name and version."""
    return sorted(pins, key=lambda pin: (pin.name, pin.version))


def main() -> int:
    """Check the locks; return the exit status."""
    problems = problems_of()
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
