import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]
LOCKS = ("core", "learner", "dev")


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[[a-z,-]+\])?==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    blocks = [block for block in re.split(r"\n(?=[a-z0-9])", text) if "==" in block]
    assert len(blocks) == len(pins(lock))
    assert all("--hash=sha256:" in block for block in blocks)


@pytest.mark.parametrize("lock", LOCKS)
def test_no_index_is_named(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", text)


def test_the_locks_agree() -> None:
    everything = pins("dev")
    for lock in ("core", "learner"):
        assert pins(lock).items() <= everything.items()


def test_what_the_project_declares_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = {"core": project["dependencies"], "learner": [*project["dependencies"], *extras["learner"]]}
    declared["dev"] = [*declared["learner"], *extras["local"], *extras["s3"], *extras["dev"]]
    for lock, requirements in declared.items():
        pinned = pins(lock)
        for requirement in map(Requirement, requirements):
            name = canonicalize_name(requirement.name)
            if name != "weldstream":
                assert requirement.specifier.contains(pinned[name]), f"{lock}: {requirement}"
