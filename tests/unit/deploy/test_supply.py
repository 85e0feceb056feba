import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from deploy.supply.audit import BAD, GOOD, UNKNOWN, audit
from deploy.supply.locks import LOCKS, lock_file, problems_of, read_lock
from deploy.supply.sbom import IMAGES, write_sbom

HASH = "ab" * 32


def test_the_locks_are_in_order() -> None:
    assert problems_of() == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (f"numpy>=2 --hash=sha256:{HASH}", "one version"),
        ("numpy==2.1", "sha256 alone"),
        (f"numpy==2.1 --hash=md5:{HASH[:32]}", "sha256 alone"),
        (f"numpy==2.1 --hash=sha256:{HASH} --hash=md5:{HASH[:32]}", "sha256 alone"),
        (f"numpy @ https://example.org/numpy.whl --hash=sha256:{HASH}", "one version"),
        ("git+https://example.org/numpy", "one version"),
        ("--index-url https://example.org", "one version"),
        ("--extra-index-url https://example.org", "one version"),
        ("-e .", "one version"),
    ],
)
def test_what_is_no_pin_is_found(line: str, problem: str) -> None:
    pins, problems = read_lock(f"# comment\nredis==8.1 \\\n    --hash=sha256:{HASH}\n    # via x\n{line}\n")
    assert [(pin.name, pin.version, pin.hashes) for pin in pins] == [("redis", "8.1", (HASH,))]
    assert len(problems) == 1
    assert problem in problems[0]


def test_an_image_installs_what_the_tests_ran_with(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    for lock, version in zip(LOCKS, ("2.1", "2.2", "2.2"), strict=True):
        lock_file(lock, tmp_path).write_text(f"numpy=={version} --hash=sha256:{HASH}\n")
    assert problems_of(tmp_path) == ["core: numpy 2.1 is not what dev has"]


@pytest.mark.parametrize("image", IMAGES)
def test_the_sbom_names_every_pin_with_version_and_hashes(image: str, tmp_path: Path) -> None:
    path = write_sbom(image, tmp_path)
    content = json.loads(path.read_text())
    assert (content["bomFormat"], content["metadata"]["component"]["name"]) == ("CycloneDX", "weldstream")
    listed: dict[tuple[str, str], set[str]] = {}
    for component in content["components"]:
        hashes = {
            digest["content"]
            for reference in component["externalReferences"]
            for digest in reference["hashes"]
            if digest["alg"] == "SHA-256"
        }
        listed.setdefault((component["name"], component["version"]), set()).update(hashes)
    pins, _ = read_lock(lock_file(IMAGES[image]).read_text())
    assert pins
    assert listed == {(pin.name, pin.version): set(pin.hashes) for pin in pins}
    again = write_sbom(image, tmp_path / "again")
    assert again.read_bytes() == path.read_bytes()


class Programs:
    """pip-audit and pip, answering as they did when they were tried."""

    def __init__(self, services: dict[str, Any], yanked: tuple[str, ...] = (), pip_error: str = "") -> None:
        self.services = services
        self.yanked = yanked
        self.pip_error = pip_error

    def __call__(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        if "pip_audit" in command:
            (service,) = (a.partition("=")[2] for a in command if a.startswith("--vulnerability-service="))
            answer = self.services[service]
            if isinstance(answer, str):
                return subprocess.CompletedProcess(command, 1, "", f"Traceback\n{answer}")
            return subprocess.CompletedProcess(command, 0, json.dumps({"dependencies": answer, "fixes": []}), "")
        if self.pip_error:
            return subprocess.CompletedProcess(command, 1, "", self.pip_error)
        items = [{"is_yanked": name in self.yanked, "metadata": {"name": name, "version": "1"}} for name in ("a", "b")]
        Path(command[-1]).write_text(json.dumps({"install": items}))
        return subprocess.CompletedProcess(command, 0, "", "")


CLEAN = [{"name": "a", "version": "1", "vulns": []}]
SKIPPED = [*CLEAN, {"name": "b", "skip_reason": "Dependency not found on PyPI and could not be audited: b (1)"}]
VULNERABLE = [{"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}]
AWAY = "requests.exceptions.ConnectionError: Failed to resolve"


@pytest.mark.parametrize(
    ("programs", "status", "said"),
    [
        (Programs({"pypi": CLEAN}), GOOD, ""),
        (Programs({"pypi": SKIPPED, "osv": CLEAN}), GOOD, ""),
        (Programs({"pypi": SKIPPED, "osv": AWAY}), UNKNOWN, "1 of 2 are not known there; osv: requests"),
        (Programs({"pypi": AWAY, "osv": AWAY}), UNKNOWN, "vulnerabilities cannot be told"),
        (Programs({"pypi": [], "osv": []}), UNKNOWN, "0 of 0 are not known there"),
        (Programs({"pypi": VULNERABLE}), BAD, "a 1 has PYSEC-1, fixed in 2"),
        (Programs({"pypi": CLEAN}, yanked=("b",)), BAD, "b 1 was withdrawn"),
        (Programs({"pypi": CLEAN}, pip_error="ERROR: no network"), UNKNOWN, "the files cannot be fetched"),
        (
            Programs({"pypi": CLEAN}, pip_error="ERROR: THESE PACKAGES DO NOT MATCH THE HASHES\nGot x"),
            BAD,
            "not the one that is pinned",
        ),
    ],
)
def test_an_audit_that_could_not_ask_does_not_pass(programs: Programs, status: int, said: str) -> None:
    found = audit(programs)
    assert found.status == status
    assert any(said in line for line in [*found.bad, *found.unknown]) or status == GOOD
