from pathlib import Path

import pytest

from schemas.errors import PrerequisiteError
from stream.local import jars
from stream.local.jars import DEPLOY_KAFKA, cache_folder, kafka_jars, kafka_version

POM = "<project><properties><kafka.version>9.9.9</kafka.version></properties></project>"
# Stands in for Maven on the PATH: a real program, that writes a jar and counts its runs.
MAVEN = """#!/bin/sh
echo run >> "{runs}"
[ -e "{fail}" ] && {{ echo "[ERROR] no route to host"; touch "${{6#-DoutputDirectory=}}/half.jar"; exit 1; }}
touch "${{6#-DoutputDirectory=}}/kafka.jar"
"""


class Maven:
    def __init__(self, folder: Path) -> None:
        self.pom = folder / "pom.xml"
        self.pom.write_text(POM)
        self.runs_file = folder / "runs"
        self.fail = folder / "fail"
        self.path = folder / "bin" / "mvn"
        self.path.parent.mkdir()
        self.path.write_text(MAVEN.format(runs=self.runs_file, fail=self.fail))
        self.path.chmod(0o755)

    @property
    def runs(self) -> int:
        return len(self.runs_file.read_text().splitlines()) if self.runs_file.exists() else 0


@pytest.fixture
def maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Maven:
    maven = Maven(tmp_path)
    monkeypatch.setattr(jars, "find_maven", lambda: maven.path)
    return maven


def test_jars_are_fetched_once(maven: Maven, tmp_path: Path) -> None:
    folder = kafka_jars(tmp_path / "cache", maven.pom)
    assert folder.name == "kafka-9.9.9"
    assert (folder / "kafka.jar").exists()
    assert kafka_jars(tmp_path / "cache", maven.pom) == folder
    assert maven.runs == 1


def test_a_failed_fetch_leaves_nothing_and_the_next_one_succeeds(maven: Maven, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    maven.fail.touch()
    with pytest.raises(PrerequisiteError, match="no route to host") as caught:
        kafka_jars(cache, maven.pom)
    assert "\n" not in str(caught.value)
    assert [p.name for p in cache.iterdir() if p.is_dir()] == []
    maven.fail.unlink()
    assert [p.name for p in kafka_jars(cache, maven.pom).glob("*.jar")] == ["kafka.jar"]


def test_what_an_interrupted_fetch_left_is_replaced(maven: Maven, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for name in ("kafka-9.9.9", "kafka-9.9.9.tmp-old"):
        (cache / name).mkdir(parents=True)
        (cache / name / "half.jar").touch()
    assert [p.name for p in kafka_jars(cache, maven.pom).glob("*.jar")] == ["kafka.jar"]
    assert not (cache / "kafka-9.9.9.tmp-old").exists()


def test_a_changed_pom_is_resolved_again(maven: Maven, tmp_path: Path) -> None:
    kafka_jars(tmp_path / "cache", maven.pom)
    maven.pom.write_text(POM.replace("</project>", "<!-- another log4j --></project>"))
    kafka_jars(tmp_path / "cache", maven.pom)
    assert maven.runs == 2


def test_the_cache_folder_can_be_set() -> None:
    assert cache_folder({"WELDSTREAM_CACHE_DIR": "/a", "XDG_CACHE_HOME": "/b"}) == Path("/a")
    assert cache_folder({"XDG_CACHE_HOME": "/b"}) == Path("/b/weldstream")
    assert cache_folder({}) == Path.home() / ".cache" / "weldstream"


def test_our_pom_names_a_version() -> None:
    assert kafka_version(DEPLOY_KAFKA / "pom.xml").startswith("4.")


def test_a_missing_pom_is_named(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match=r"pom\.xml is missing"):
        kafka_version(tmp_path / "pom.xml")
