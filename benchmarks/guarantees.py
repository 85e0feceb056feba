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


_INFERENCE = ("inference killed", "inference stopped", "inference stalled", "inference nodes join and leave")
_BROKER = ("broker killed", "broker stopped", "broker's disk full")
_NETWORK = ("network cut: inference", "network silent", "network slow: inference")
_RELEASES = ("partial artifact", "release loads the second time", "roll-back during a swap", "forged releases")
_REDIS = ("redis", "network cut, silent and slow: redis")

GUARANTEES = (
    Guarantee(
        "Every frame that Kafka acknowledged is judged or becomes a dead letter, once.",
        "For readers of committed records (`isolation.level=read_committed`, the default of librdkafka and of all our "
        "own readers). A frame must be fetched before its topic's retention ends. A reader of uncommitted records may "
        "see judgements that were taken back. A frame that acquisition sends twice is two records, and judged twice.",
        (*_INFERENCE, *_BROKER, *_NETWORK, *_RELEASES, "clock set: inference", "poison frames"),
    ),
    Guarantee(
        "A weld is judged by one model version from its first frame to its last, across swaps, restarts and "
        "rebalances.",
        "With `serving.swap=weld`, the default, and frames keyed by weld. A weld that pauses longer than "
        "`serving.weld_idle_seconds`, for whatever reason, begins a new pass, which may be judged by a newer version; "
        "the chain shows where. A version that can no longer be loaded ends the passes that it judged; "
        "`welds_reopened_total` counts them.",
        ("inference killed", "inference nodes join and leave", "roll-back during a swap", "clock set: inference"),
    ),
    Guarantee(
        "A process that lost its partitions and wakes up later publishes nothing.",
        "Each partition has one transactional id: who takes it over fences whoever had it before.",
        ("inference stalled past its session", "network silent: one of two nodes"),
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
        ("inference killed", "inference stalled past its session", "inference nodes join and leave", *_BROKER),
    ),
    Guarantee(
        "A release that cannot be loaded, comes late or is taken back costs no frame.",
        "What serves goes on serving, and the announcement becomes a dead letter. It may be announced again.",
        _RELEASES,
    ),
    Guarantee(
        "A release that no trusted key has signed, exactly as it is, judges no frame.",
        "With `registry.signatures=required`, the default. It is refused, counted and kept as a dead letter, and what "
        "serves goes on serving: nothing is lost by it. Who holds a trusted private key can release anything.",
        ("forged releases",),
    ),
    Guarantee(
        "After a roll-back every retained frame that the versions taken back have judged is judged again, and each "
        "weld and frame whose verdict flips is told once.",
        "Where `inference.recaller` runs, or runs again: it goes on after what it has published. In the topic "
        "`recalls`, together with the review requests and for readers of committed records; a weld has a record for "
        "each 32 of its frames, of which the newest holds for the whole weld and names at most 1,000 frames that flip, "
        "all of which are asked for. A frame that is no longer retained counts as gone. Roll-backs older than the "
        "retention of `recalls` are not followed any more. A version that cannot be loaded ends its recall with an "
        "error in the log until the next start. Where one is killed within a transaction, readers wait for the next "
        "one's start, or for a minute.",
        ("recaller killed",),
    ),
    Guarantee(
        "Every label that Kafka acknowledged is in the weights once, or is held out, or becomes a dead letter.",
        "In the weights that a restart goes on from: a step that was not in a checkpoint when the learner was killed "
        "is made again, on weights that do not have it. Labels are known by their id, the newest "
        "`intake.known_labels` of them. A learner that a fault ends must be started again by whoever supervises it.",
        ("learner killed", *_REDIS, "network cut, silent and slow: learner", "clock set: learner", "label flood"),
    ),
    Guarantee(
        "A deterministic learner, killed as often as you like, arrives at the weights of one that ran through, bit for "
        "bit.",
        "With `training.deterministic`: on the CPU, with one thread count, one version of the libraries and a labels "
        "topic of one partition, and as long as nothing is rolled back and no inspector's standing changes. By default "
        "groups of labels depend on when they come, and so do the last digits of the weights.",
        ("deterministic learner killed",),
    ),
    Guarantee(
        "Of several learners of a model one releases, and one that slept through its replacement cannot.",
        "The registry decides, by a fence that takes the next number among the announcements. Until it tries, the "
        "sleeper may offer labels to the memory, which knows them already.",
        ("learner asleep", "learner stops and the stand-by takes over"),
    ),
    Guarantee(
        "A loss that is not finite leaves no trace in any weights that are released.",
        "The batch becomes dead letters, and the last checkpoint is gone on from. When more than "
        "`training.most_divergences` batches diverge between two checkpoints the process ends and says so.",
        ("learner diverges",),
    ),
    Guarantee(
        "What is remembered for rehearsal survives the end of Redis, and a Redis without memory left refuses labels "
        "for a time only.",
        "With the append-only file, which reaches the disk once a second: when the machine itself loses its power, the "
        "last second may be missing until `python -m learner.app --rebuild-memory` reads the labels anew.",
        _REDIS,
    ),
    Guarantee(
        "A flood of labels stops no judgement, and the learner takes in only as many as it can hold.",
        "`intake.max_pending` labels and one poll wait in memory, the rest in Kafka.",
        ("label flood", "inference during a label flood"),
    ),
    Guarantee(
        "No wall clock decides what is judged, learned or served.",
        "Offsets, chains and sequence numbers do, and time is measured with monotonic clocks. The times written in "
        "judgements and releases are those of the process's clock, and as wrong as it is.",
        ("clock set",),
    ),
    Guarantee(
        "A record that cannot be read costs no other record.",
        "It becomes a dead letter, with its bytes and the reason, in one transaction with its neighbours' judgements.",
        ("poison frames", "label flood"),
    ),
)

LIMITS = (
    (
        "**Lost power and lost disks.** The faults end processes and fill disks; the machine goes on, and so does "
        "what its kernel has buffered. Kafka does not wait for the disk before it acknowledges: what survives the "
        "loss of a machine is a matter of `kafka.replication_factor`, which is 1 on one broker."
    ),
    (
        "**A full disk stops everything.** The broker ends, nothing is judged until a person makes room and starts "
        "it, and acquisition must keep the frames that are not acknowledged."
    ),
    "**Order between welds.** Only the frames of a weld are judged in order.",
    (
        "**Changed bytes.** Damaged disks and memory, and brokers that lie, were not tried; the chain finds a "
        "judgement that was changed, not a frame."
    ),
)


_INTRODUCTION = (
    "What holds, when, and what does not; below each sentence the faults that tried to break it, at how many moments, "
    "and how many violations they found. Made of `benchmarks/results/faults.json`, which `make test-faults` writes; "
    "the last table has all of it."
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
            "## What does not hold",
            "",
            *(f"- {limit}" for limit in LIMITS),
            "",
            "## Every fault at every moment",
            "",
            markdown_table(figures),
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
    yield "| fault | tried | survived | violations |"
    yield "|---|---:|---:|---:|"
    found = proofs(guarantee, figures)
    for name in dict.fromkeys(figure.figure.partition(":")[0] for figure in found):
        own = [figure for figure in found if figure.figure.partition(":")[0] == name]
        survived, violations = sum(figure.passed for figure in own), sum(figure.value for figure in own)
        yield f"| {name} | {len(own)} | {survived} | {violations:g} |"
    yield ""
