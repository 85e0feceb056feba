"""One decoder under coverage-guided fuzzing: ``python -m tests.fuzz.harness TARGET CORPUS RUNS SEED``.

libFuzzer ends the process at the first input that breaks a promise, takes longer than ten seconds or more memory than
the limit, and leaves it beside the corpus.
"""

import sys
from pathlib import Path

import atheris

SECONDS_AN_INPUT = 10
MEMORY_MIB = 1024
LONGEST = 4096

with atheris.instrument_imports(include=["stream", "memory", "schemas", "PIL"]):
    from tests.fuzz.targets import TARGETS


def main(name: str, corpus: Path, runs: int, seed: int) -> None:
    target = TARGETS[name]
    corpus.mkdir(parents=True, exist_ok=True)
    for number, valid in enumerate(target.seeds()):
        (corpus / f"seed-{number:02d}").write_bytes(valid)

    def read(data: bytes) -> None:
        target.check(data)

    atheris.Setup(
        [
            sys.argv[0],
            str(corpus),
            f"-runs={runs}",
            f"-seed={seed}",
            f"-max_len={LONGEST}",
            f"-timeout={SECONDS_AN_INPUT}",
            f"-rss_limit_mb={MEMORY_MIB}",
            f"-artifact_prefix={corpus.parent}/broken-",
            "-print_final_stats=1",
        ],
        read,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
