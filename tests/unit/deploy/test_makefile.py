"""make setup on machines where something is missing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TOOLS = ("bash", "sh", "make", "cat", "cksum", "cut", "uname", "java", "mvn")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A clone in which nothing is set up, and a PATH of chosen programs."""
    for path in ("Makefile", "pyproject.toml", "requirements/dev.txt", "deploy/kafka/pom.xml"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        if found is not None:
            (tmp_path / "bin" / tool).symlink_to(found)
    return tmp_path


def python(project: Path, code: str) -> None:
    """Put a python3 on the PATH that runs a shell line."""
    program = project / "bin" / "python3"
    program.write_text(f"#!/bin/sh\n{code}\n")
    program.chmod(0o755)


def setup(project: Path) -> tuple[int, list[str]]:
    done = subprocess.run(
        ["make", "--no-print-directory", "setup", "PYTHON=python3"],
        cwd=project,
        env={"PATH": str(project / "bin")} | {k: v for k, v in os.environ.items() if k in {"LANG", "HOME"}},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, [line for line in done.stderr.splitlines() if not line.startswith("make")]


def test_without_python(project: Path) -> None:
    status, lines = setup(project)
    assert status != 0
    assert len(lines) == 1
    assert lines[0].startswith("Python 3.11 or newer is not installed: ")
    assert "install" in lines[0].split(": ")[1]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ('case "$2" in *version_info*) exit 1;; esac', "Python 3.11 or newer is needed and python3 is older: "),
        ('case "$2" in *venv*) exit 1;; esac', "Python's venv module is not installed: "),
    ],
)
def test_with_a_python_that_will_not_do(project: Path, code: str, message: str) -> None:
    python(project, code)
    status, lines = setup(project)
    assert status != 0
    assert len(lines) == 1
    assert lines[0].startswith(message)


@pytest.mark.parametrize(("tool", "message"), [("java", "Java 17 or newer"), ("mvn", "Maven")])
def test_without_java_or_maven(project: Path, tool: str, message: str) -> None:
    python(project, "exit 0")
    (project / "bin" / tool).unlink(missing_ok=True)
    status, lines = setup(project)
    assert status != 0
    assert len(lines) == 1
    assert lines[0].startswith(f"{message} is not installed: ")
    assert not (project / ".venv").exists()
