"""``docs/guarantees.md``: what is promised, each sentence with the faults that tried to break it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, markdown_table, read_results


@dataclass(frozen=True, slots=True)
class Guarantee:
    """A promise.

    Attributes
    ----------
    sentence : str
        What holds.
    condition : str
        Under which conditions, and what does not hold.
    faults : tuple of str
        Beginnings of the names of the faults that prove it.
    """

    sentence: str
    condition: str
    faults: tuple[str, ...]


GUARANTEES = (
    Guarantee(
        "Every frame that Kafka acknowledged is judged or becomes a dead letter, once.",
        "For readers of committed records (`isolation.level=read_committed`, the default of librdkafka and of all our "
        "own readers). A frame must be fetched before its topic's retention ends. A reader of uncommitted records may "
        "see judgements that were taken back.",
        (
            "inference killed",
            "inference stopped",
            "inference nodes join and leave",
            "poison frames",
        ),
    ),
    Guarantee(
        "A weld is judged by one model version from its first frame to its last, across swaps, restarts and "
        "rebalances.",
        "With `serving.swap=weld`, the default, and frames keyed by weld. A weld that pauses longer than "
        "`serving.weld_idle_seconds`, for whatever reason, begins a new pass, which may be judged by a newer version; "
        "the chain shows where. A version that can no longer be loaded ends the passes that it judged; "
        "`welds_reopened_total` counts them.",
        ("inference killed", "inference nodes join and leave"),
    ),
    Guarantee(
        "A process that lost its partitions and wakes up later publishes nothing.",
        "Each partition has one transactional id: who takes it over fences whoever had it before.",
        ("inference stalled past its session",),
    ),
    Guarantee(
        "The judgements of a pass form a chain: one that is missing, doubled or changed is found.",
        "By `weldstream verify WELD`, as long as the judgements are retained, and from an exported ledger for as long "
        "as that is kept. The last one is proved by the weld's state, and after the end of the pass by its record in "
        "`weld-passes`. What does not hold: the chain is not signed, so who can write to all of these topics, or "
        "replace a whole exported folder, can write a new one. A pass of which nothing is left, neither judgement nor "
        "state nor end, is not missed. Once retention has taken the beginning of a partition, a pass that lacks its "
        "first judgements counts as cut, not as changed; the same goes for an export that began late. In an export "
        "the judgements after the last state that it read are proved by the next export.",
        ("inference killed", "inference stalled past its session", "inference nodes join and leave"),
    ),
    Guarantee(
        "A record that cannot be read costs no other record.",
        "It becomes a dead letter, with its bytes and the reason, in one transaction with its neighbours' judgements.",
        ("poison frames",),
    ),
)


_INTRODUCTION = (
    "What holds, when, and what does not; below each sentence the faults that tried to break it and how many "
    "violations they found. Made of `benchmarks/results/faults.json`, which `make test-faults` writes."
)


def page(results: Path) -> str:
    """Return the page, made of the results of ``make test-faults``."""
    figures = read_results(results / "faults.json")
    return "\n".join(
        [
            "# Guarantees",
            "",
            _INTRODUCTION,
            "",
            *(line for guarantee in GUARANTEES for line in _section(guarantee, figures)),
        ]
    )


def proofs(guarantee: Guarantee, figures: Sequence[Figure]) -> list[Figure]:
    """Return the results that prove a guarantee."""
    return [figure for figure in figures if figure.figure.startswith(guarantee.faults)]


def _section(guarantee: Guarantee, figures: Sequence[Figure]) -> Iterator[str]:
    yield f"## {guarantee.sentence}"
    yield ""
    yield guarantee.condition
    yield ""
    yield markdown_table(proofs(guarantee, figures))
