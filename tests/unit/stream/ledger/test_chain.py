from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest

from schemas.judgements import ChainLink, Judgement, ModelRef, RecordPosition
from stream.codec import encode_raster
from stream.ledger import Entry, Mark, check_end, check_pass, passes

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
    assert problems(entries) == []
    assert ends(entries, state(5, entries[-1].digest), end(5, entries[-1].digest)) == []


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


def test_a_pass_that_begins_before_what_is_retained_is_checked_from_there_on() -> None:
    entries = chain(5)
    assert problems(entries[2:], cut=True) == []
    assert problems([entries[2], *entries[4:]], cut=True) == ["missing"]


def state(judged: int, head: str | None, *, at_least: bool = True) -> Mark:
    return Mark(judged, head, ended=False, at_least=at_least)


def end(judged: int, head: str | None, *, at_least: bool = True) -> Mark:
    return Mark(judged, head, ended=True, at_least=at_least)


def ends(entries: list[Entry], *marks: Mark) -> list[str]:
    return [finding.problem for finding in check_end(entries, marks)]


@pytest.mark.parametrize("mark", [state, end])
def test_only_states_and_ends_show_a_change_of_the_last_judgement_or_its_loss(mark: Callable[..., Mark]) -> None:
    entries = chain(4)
    last = mark(4, entries[3].digest)
    assert problems(entries[:3]) == []
    assert ends(entries[:3], last) == ["end_missing"]
    changed = entry(3, entries[2].digest, weld="other")
    assert problems([*entries[:3], changed]) == []
    assert ends([*entries[:3], changed], last) == ["end_differs"]
    assert ends([], last) == ["end_missing"]


def test_a_pass_whose_end_nobody_names_is_found() -> None:
    assert ends(chain(3)) == ["end_unknown"]


def test_a_state_that_was_changed_is_found() -> None:
    entries = chain(4)
    assert ends(entries, state(4, "0" * 64)) == ["end_differs"]
    assert ends(entries, state(5, "0" * 64)) == ["end_missing"]
    # One that was put back to an earlier judgement: read after the judgements, it must know of all of them.
    back = entries[1].digest
    assert ends(entries, state(2, back), state(2, back, at_least=False)) == ["beyond_end"]


def test_a_weld_in_progress_is_no_finding() -> None:
    entries = chain(6)
    earlier, later = state(4, entries[3].digest), state(6, entries[5].digest, at_least=False)
    assert ends(entries[:5], earlier, later) == []
    assert ends(entries[:5], earlier, end(6, entries[5].digest, at_least=False)) == []


def test_a_pass_that_goes_on_after_its_end_is_found() -> None:
    entries = chain(4)
    assert ends(entries, end(3, entries[2].digest)) == ["beyond_end"]


def test_a_state_before_the_first_judgement_asks_for_nothing() -> None:
    assert ends([], state(0, None)) == []


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
