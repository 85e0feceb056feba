"""Loads one mutated model after the other in a process of its own, so that a crash of onnxruntime is seen and survived.

A line on stdin names a graph and weights; a line on stdout says ``valid``, ``refused``, or what was broken.
"""

import os
import resource
import sys
import warnings
from pathlib import Path

from inference.session import SessionLoader
from schemas.errors import ModelLoadError
from tests.unit.inference.tiny import graph_bytes, make_version

MEMORY_BYTES = 8 << 30
SHAPE = (16, 32)


def outcome(loader: SessionLoader, graph: Path, weights: Path) -> str:
    # The digests do not matter here: what is loaded has passed them.
    version = make_version(1, graph_bytes(), b"")
    try:
        loader.load(version, graph, weights)
    except ModelLoadError:
        return "refused"
    except BaseException as error:  # noqa: BLE001 - whatever else comes out is the finding
        return f"broken: {type(error).__name__}: {error}".replace("\n", " ")[:300]
    return "valid"


def main() -> None:
    # The answers have the pipe for themselves: whatever the runtime prints goes to stderr.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    warnings.simplefilter("error")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    loader = SessionLoader(1, SHAPE)
    for line in sys.stdin:
        graph, weights = line.rstrip("\n").split("\t")
        answers.write(f"{outcome(loader, Path(graph), Path(weights))}\n")


if __name__ == "__main__":
    main()
