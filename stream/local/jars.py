"""Kafka's jars: resolved once by Maven from ``deploy/kafka/pom.xml`` and kept in a cache folder."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from schemas.errors import PrerequisiteError
from stream.local.prerequisites import find_maven

DEPLOY_KAFKA = Path(__file__).resolve().parents[2] / "deploy" / "kafka"
_STAMP = "pom.sha256"


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where fetched things are kept.

    ``WELDSTREAM_CACHE_DIR``, else ``$XDG_CACHE_HOME/weldstream``, else
    ``~/.cache/weldstream``.
    """
    if own := environ.get("WELDSTREAM_CACHE_DIR"):
        return Path(own)
    if xdg := environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "weldstream"
    return Path.home() / ".cache" / "weldstream"


def kafka_version(pom: Path) -> str:
    """Return the version of Kafka that a pom names.

    Raises
    ------
    PrerequisiteError
        If the file is absent or names none.
    """
    try:
        match = re.search(r"<kafka\.version>([\w.-]+)</kafka\.version>", pom.read_text())
    except FileNotFoundError:
        raise PrerequisiteError(f"{pom} is missing: run from a clone of the repository") from None
    if match is None:
        raise PrerequisiteError(f"{pom} names no kafka.version")
    return match[1]


def kafka_jars(cache: Path | None = None, pom: Path = DEPLOY_KAFKA / "pom.xml") -> Path:
    """Return the folder with Kafka's jars; fetch them where they are not cached yet.

    The folder appears under its name only when it is complete, so that an
    interrupted run leaves nothing that a later one takes for the jars, and two
    runs at the same time fetch once.

    Parameters
    ----------
    cache : Path, optional
        By default `cache_folder()`.
    pom : Path
        Names the jars; when it changes, they are resolved again.

    Raises
    ------
    PrerequisiteError
        If Maven is missing or fails.
    """
    root = cache_folder() if cache is None else cache
    folder = root / f"kafka-{kafka_version(pom)}"
    stamp = hashlib.sha256(pom.read_bytes()).hexdigest()
    if _is_complete(folder, stamp):
        return folder
    root.mkdir(parents=True, exist_ok=True)
    with (root / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_complete(folder, stamp):
            _resolve(pom, folder, stamp)
    return folder


def _is_complete(folder: Path, stamp: str) -> bool:
    try:
        return (folder / _STAMP).read_text() == stamp
    except FileNotFoundError:
        return False


def _resolve(pom: Path, folder: Path, stamp: str) -> None:
    maven = find_maven()
    for leftover in folder.parent.glob(f"{folder.name}.tmp-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    new = Path(tempfile.mkdtemp(prefix=f"{folder.name}.tmp-", dir=folder.parent))
    try:
        done = subprocess.run(  # noqa: S603 - found on the PATH
            [maven, "-q", "-B", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={new}"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            lines = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
            reason = lines[0] if lines else f"status {done.returncode}"
            raise PrerequisiteError(f"Maven could not fetch Kafka ({reason}): check the network, then repeat")
        (new / _STAMP).write_text(stamp)
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
