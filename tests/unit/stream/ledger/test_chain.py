from datetime import UTC, datetime

import numpy as np

from schemas.judgements import ChainLink, Judgement, ModelRef, RecordPosition
from stream.codec import encode_raster
from stream.ledger import Entry, check_pass, passes

NOW = datetime(2024, 5, 1, tzinfo=UTC)
MASK = encode_raster(np.zeros((4, 4), np.uint8))


def entry(sequence: int, previous: str | None, *, version: int = 1, weld: str = "w", begun: str = "w-0") -> Entry:
    judgement = Judgement(
        frame_id=f"{weld}-{sequence}",
        weld_id=weld,
        position_mm=0,
        frame_time=NOW,
        domain="d",
        source=RecordPosition(topic="frames", partition=0, offset=sequence),
        pixels_sha256="0" * 64,
        model=ModelRef(name="weld", version=version, digest="1" * 64),
        preprocessing="standard-1",
        thresholds={},
        chain=ChainLink(pass_id=begun, sequence=sequence, previous=previous),
        judged_at=NOW,
        mask=MASK,
        classes=(100,),
        indications=(),
        uncertainty=0.0,
        flagged=False,
        latency_seconds=0.0,
        compute_seconds=0.0,
    )
    return Entry.of(judgement, judgement.model_dump_json().encode())


def chain(length: int, **changes: object) -> list[Entry]:
    entries: list[Entry] = []
    for sequence in range(length):
        entries.append(entry(sequence, entries[-1].digest if entries else None, **changes))  # type: ignore[arg-type]
    return entries


def problems(entries: list[Entry], **how: object) -> list[str]:
    return [finding.problem for finding in check_pass(entries, **how)]  # type: ignore[arg-type]


def test_a_chain_that_nobody_touched_holds() -> None:
    entries = chain(5)
    assert problems(entries, head=entries[-1].digest) == []


def test_a_judgement_that_is_gone_is_missed() -> None:
    entries = chain(5)
    assert problems(entries[:2] + entries[3:]) == ["missing"]
    assert problems(entries[1:]) == ["missing"]


def test_a_judgement_that_is_there_twice_is_found() -> None:
    entries = chain(4)
    assert problems([*entries[:2], entries[1], *entries[2:]]) == ["twice"]


def test_a_record_that_was_changed_shows_at_the_next() -> None:
    entries = chain(4)
    other = entry(1, entries[0].digest, version=1, weld="other")
    assert problems([entries[0], other, *entries[2:]]) == ["changed"]


def test_only_the_head_shows_a_change_of_the_last_or_its_loss() -> None:
    entries = chain(4)
    assert problems(entries[:3]) == []
    assert problems(entries[:3], head=entries[3].digest) == ["end_differs"]


def test_two_models_in_a_pass_are_found_unless_swaps_are_immediate() -> None:
    first = chain(2)
    entries = [*first, entry(2, first[-1].digest, version=2)]
    assert problems(entries) == ["mixed_models"]
    assert problems(entries, one_model=False) == []


def test_passes_are_told_apart_and_put_in_order() -> None:
    entries = [*chain(3), *chain(2, begun="w-9"), *chain(1, weld="v", begun="v-0")]
    found = passes(reversed(entries))
    assert {key: [e.judgement.chain.sequence for e in own] for key, own in found.items()} == {
        ("w", "w-0"): [0, 1, 2],
        ("w", "w-9"): [0, 1],
        ("v", "v-0"): [0],
    }
