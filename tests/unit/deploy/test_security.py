"""SECURITY.md promises nothing that no test shows."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "SECURITY.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[^`]+)`", TEXT)))


def rows() -> list[list[str]]:
    table = TEXT.partition("## Threats")[2]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("name", NAMED)
def test_every_named_test_exists(name: str) -> None:
    path, _, function = name.partition("::")
    assert (ROOT / path).is_file(), name
    if path != "tests/unit/deploy/test_security.py":
        assert function, f"{name}: which test of the file?"
        assert function in functions(ROOT / path), name


def test_every_threat_has_a_test() -> None:
    header, _, *threats = rows()
    assert header == ["asset", "attacker", "what they try", "what stops it", "test", "what remains"]
    assert len(threats) > 15
    for threat in threats:
        assert len(threat) == len(header), threat
        assert all(threat[:4]), threat
        assert "`tests/" in threat[4], threat


@pytest.mark.parametrize(
    "attacker",
    [
        "malicious frame publisher",
        "malicious or compromised inspector",
        "release forger",
        "registry tamperer",
        "broker eavesdropper",
        "Redis intruder",
        "dependency attacker",
        "insider",
    ],
)
def test_every_attacker_is_thought_of(attacker: str) -> None:
    assert any(threat[1].startswith(attacker) for threat in rows()[2:])
