"""The parent of the process that loads mutated models."""

import contextlib
import selectors
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

SECONDS_A_MODEL = 20


class ModelProcess:
    """Asks a child to load models; a child that dies or hangs is the answer, and the next question starts another."""

    def __init__(self, folder: Path) -> None:
        self._graph, self._weights = folder / "graph.onnx", folder / "weights.safetensors"
        self._log = (folder / "stderr.log").open("ab")
        self._child: subprocess.Popen[str] | None = None

    def load(self, graph: bytes, weights: bytes) -> str:
        """Return ``valid``, ``refused``, or what went wrong."""
        self._graph.write_bytes(graph)
        self._weights.write_bytes(weights)
        child = self._child = self._child or self._start()
        assert child.stdin is not None
        assert child.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it is dead, which the missing answer says
            child.stdin.write(f"{self._graph}\t{self._weights}\n")
            child.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            answered = selector.select(SECONDS_A_MODEL)
        line = child.stdout.readline().strip() if answered else ""
        if line:
            return line
        child.poll()
        self._end()
        return f"died with {child.returncode}" if answered else f"hung for {SECONDS_A_MODEL} s"

    def close(self) -> None:
        self._end()
        self._log.close()

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(0.2)
            child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.model_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            bufsize=1,
        )
