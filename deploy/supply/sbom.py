"""``python -m deploy.supply.sbom [FOLDER]``: CycloneDX bills of materials of the two images' dependencies."""

import subprocess
import sys
from pathlib import Path

from deploy.supply.locks import ROOT, lock_file

IMAGES = {"inference": "core", "learner": "learner"}
"""Which lock each image installs."""


def write_sbom(image: str, folder: Path) -> Path:
    """Write ``sbom-IMAGE.json``; the same locks give the same bytes.

    Parameters
    ----------
    image : str
        One of `IMAGES`.
    folder : Path
        Where it goes; made if it is missing.

    Raises
    ------
    subprocess.CalledProcessError
        If the lock cannot be read, or the result is no valid CycloneDX.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"sbom-{image}.json"
    command = [sys.executable, "-W", "ignore::UserWarning", "-m", "cyclonedx_py", "requirements"]
    options = ["--output-reproducible", "--validate", "--pyproject", str(ROOT / "pyproject.toml"), "-o", str(path)]
    subprocess.run([*command, *options, str(lock_file(IMAGES[image]))], check=True)  # noqa: S603 - our own arguments
    return path


def main(arguments: list[str]) -> int:
    """Write both; return the exit status."""
    folder = Path(arguments[0]) if arguments else ROOT / "dist"
    for image in IMAGES:
        sys.stdout.write(f"wrote {write_sbom(image, folder)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
