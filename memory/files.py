"""Small files that appear whole or not at all, on a folder or on any file system that fsspec knows."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from schemas.errors import ServiceUnavailableError


class AtomicFiles:
    """Reads and writes whole files under one root; blocking, so call it from a thread.

    On a folder a file is written aside, flushed to disk and then renamed or
    linked to its name. On an object store one PUT is already atomic, and an
    exclusive one is conditional on the absence of the key.

    Parameters
    ----------
    uri : str
        Folder or fsspec URL.
    options : mapping
        Passed to the fsspec file system.
    """

    def __init__(self, uri: str, options: Mapping[str, Any] | None = None) -> None:
        self._fs, root = fsspec.core.url_to_fs(uri, **dict(options or {}))  # type: ignore[no-untyped-call]
        self._root = root.rstrip("/")
        self._local = isinstance(self._fs, LocalFileSystem)

    def create(self, name: str, data: bytes) -> bool:
        """Write a file unless it exists; False if it does. Of two writers exactly one gets True."""
        with _reachable():
            if not self._local:
                try:
                    self._fs.pipe_file(self._path(name), data, mode="create")
                except FileExistsError:
                    return False
                return True
            with self._aside(name, data) as (temporary, final):
                try:
                    os.link(temporary, final)  # unlike a rename, fails if the name is taken
                except FileExistsError:
                    return False
                return True

    def replace(self, name: str, data: bytes) -> None:
        """Write a file, over the one that may be there."""
        with _reachable():
            if not self._local:
                self._fs.pipe_file(self._path(name), data)
                return
            with self._aside(name, data) as (temporary, final):
                temporary.replace(final)

    def read(self, name: str) -> bytes | None:
        """Return a file's content, None if there is no such file."""
        with _reachable():
            try:
                content: bytes = self._fs.cat_file(self._path(name))
            except FileNotFoundError:
                return None
            return content

    def size(self, name: str) -> int | None:
        """Return a file's size in bytes, None if there is no such file."""
        with _reachable():
            self._fs.invalidate_cache()
            try:
                return int(self._fs.info(self._path(name))["size"])
            except FileNotFoundError:
                return None

    def names(self, folder: str, suffix: str) -> list[str]:
        """Return the names in a folder that end so, sorted; empty if there is no such folder."""
        with _reachable():
            self._fs.invalidate_cache()  # another process may have written since
            try:
                paths = self._fs.ls(self._path(folder), detail=False)
            except FileNotFoundError:
                return []
            found = (path.rsplit("/", 1)[-1] for path in paths)
            return sorted(name for name in found if name.endswith(suffix) and not name.startswith("."))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _aside(self, name: str, data: bytes) -> Iterator[tuple[Path, Path]]:
        final = Path(self._path(name))
        with written_aside(final, data) as temporary:
            yield temporary, final


@contextmanager
def written_aside(final: Path, data: bytes) -> Iterator[Path]:
    """Yield a flushed file with these bytes in the folder of `final`; removed afterwards if still there."""
    final.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=final.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ServiceUnavailableError(f"the registry's storage failed: {error}") from error
