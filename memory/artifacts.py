"""Model files named by their content, verified each time they are read."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memory.files import AtomicFiles, written_aside
from schemas.errors import ArtifactNotFoundError, DigestMismatchError
from schemas.events import Artifact

GIB = 1024**3


class ArtifactStore:
    """Immutable bytes under their sha256, with a local copy for whoever loads from a path.

    All methods block: call them from a thread (``asyncio.to_thread``).

    Parameters
    ----------
    uri : str
        Folder or fsspec URL of the registry.
    options : mapping
        Passed to the fsspec file system.
    cache_dir : Path
        Where verified copies are kept on local disk.
    cache_bytes : int
        Bound of that folder; the copies unused for longest go first. The one
        just asked for always stays.
    """

    def __init__(
        self,
        uri: str,
        options: Mapping[str, Any] | None = None,
        *,
        cache_dir: Path,
        cache_bytes: int = 2 * GIB,
    ) -> None:
        self._files = AtomicFiles(uri, options)
        self._cache_dir = cache_dir
        self._cache_bytes = cache_bytes

    def put(self, content: bytes | Path) -> Artifact:
        """Store bytes, or a file's bytes, unless they are already stored.

        Raises
        ------
        ServiceUnavailableError
            If the storage fails.
        """
        data = content.read_bytes() if isinstance(content, Path) else content
        artifact = Artifact(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
        # A file of another size is damaged: it could never be read, so it is written anew.
        if self._files.size(_name(artifact)) != len(data):
            self._files.replace(_name(artifact), data)
        return artifact

    def open_local(self, artifact: Artifact) -> Path:
        """Return the path of a verified local copy.

        Raises
        ------
        ArtifactNotFoundError
            If no such artifact is stored.
        DigestMismatchError
            If the stored bytes are not those that the digest and the size promise.
        ServiceUnavailableError
            If the storage fails.
        """
        path = self._cache_dir / _name(artifact)
        if path.is_file() and path.stat().st_size == artifact.size_bytes and _matches(path.read_bytes(), artifact):
            os.utime(path)  # the time of last use orders the sweep
            return path
        stored = self._files.size(_name(artifact))
        if stored is not None and stored != artifact.size_bytes:  # before the memory is taken
            raise DigestMismatchError(
                f"artifact sha256:{artifact.sha256} of {artifact.size_bytes} bytes is stored as {stored} bytes"
            )
        data = self._files.read(_name(artifact))
        if data is None:
            raise ArtifactNotFoundError(f"no artifact sha256:{artifact.sha256}")
        if not _matches(data, artifact):
            raise DigestMismatchError(
                f"artifact sha256:{artifact.sha256} of {artifact.size_bytes} bytes is stored as "
                f"{len(data)} bytes with sha256 {hashlib.sha256(data).hexdigest()}"
            )
        with written_aside(path, data) as temporary:
            temporary.replace(path)
        self._sweep(keep=path)
        return path

    def _sweep(self, keep: Path) -> None:
        copies = []
        for path in self._cache_dir.glob("artifacts/sha256/*/*"):
            try:
                status = path.stat()
            except FileNotFoundError:  # swept by another process
                continue
            copies.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in copies)
        for _, size, path in sorted(copies):
            if total <= self._cache_bytes:
                return
            if path != keep and not path.name.startswith("."):
                path.unlink(missing_ok=True)
                total -= size


def _name(artifact: Artifact) -> str:
    return f"artifacts/sha256/{artifact.sha256[:2]}/{artifact.sha256}"


def _matches(data: bytes, artifact: Artifact) -> bool:
    return len(data) == artifact.size_bytes and hashlib.sha256(data).hexdigest() == artifact.sha256
