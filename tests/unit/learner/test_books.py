import json
from datetime import UTC, datetime

from learner.books import Books, Learnt, strike_key
from learner.checkpoint import Position
from schemas import Artifact, ClassTable, ModelRef, ModelVersion
from tests.unit.learner.records import GIVEN, READ, TOPIC, make_label, make_sample

LEARNED = datetime(2024, 5, 1, 13, 0, 0, 250000, tzinfo=UTC)


def books_with(*domains: str) -> Books:
    """Books in which a label of each of these domains waits, in order."""
    books = Books(TOPIC, known_limit=100)
    for number, domain in enumerate(domains):
        label = make_label(number, domain)
        assert books.progress.read(label.partition, label.offset)
        books.pending[label.sample.label_id] = label
    return books


def after_a_restart(books: Books, step: int = 0) -> Books:
    """What a process reads back that died after a checkpoint."""
    position = Position.model_validate_json(books.position(step, {}).model_dump_json())
    restored = Books(TOPIC, known_limit=100)
    restored.restore(position, json.loads(json.dumps(books.state())))
    return restored


def test_a_group_is_of_the_oldest_labels_domain_and_waits_on() -> None:
    books = books_with("b", "a", "b", "b", "a")
    assert [label.offset for label in books.group(2)] == [0, 2]
    assert [label.offset for label in books.group(9)] == [0, 2, 3]
    assert len(books.pending) == 5
    for label in books.group(9):
        books.settle(label)
    assert [label.offset for label in books.group(9)] == [1, 4]
    assert Books(TOPIC, 1).group(3) == []


def test_a_whole_group_waits_until_it_cannot_grow() -> None:
    assert Books(TOPIC, 1).whole_group(3) == []
    assert books_with("a", "a").whole_group(3) == []
    assert [label.offset for label in books_with("a", "a", "a").whole_group(3)] == [0, 1, 2]
    assert [label.offset for label in books_with("a", "a", "b").whole_group(3)] == [0, 1]
    # Unlike a group made as time allows, it never takes a later label before an earlier one.
    assert [label.offset for label in books_with("a", "b", "a").whole_group(3)] == [0]


def test_what_was_struck_and_read_survives_a_restart() -> None:
    books = books_with("a", "a", "a")
    books.settle(books.pending["label-0"])
    books.struck["0:7"] = None
    books.divergences = 2
    restored = after_a_restart(books)
    assert list(restored.struck) == ["0:7"]
    assert restored.divergences == 2
    assert books.state()["read"] == {"0": 3}
    assert restored.progress.positions() == {0: 1}


def test_a_sample_is_struck_by_its_place_so_that_it_can_be_sent_again() -> None:
    assert strike_key(make_sample(3, offset=17)) == "0:17"
    assert strike_key(make_sample(3)) == "label-3"


def test_a_label_is_known_while_it_waits_and_when_it_is_done() -> None:
    books = books_with("a")
    assert books.knows("label-0")
    assert not books.knows("label-1")
    books.settle(books.pending["label-0"])
    assert not books.pending
    assert books.knows("label-0")
    assert books.progress.offsets() == {0: 1}


def test_only_a_learned_label_counts_as_learned() -> None:
    books = books_with("a", "a")
    books.settle(books.pending["label-0"])
    assert (books.learned, books.in_model, books.since_checkpoint, books.unreleased) == (0, 0, 0, [])
    books.settle_learned(books.pending["label-1"], LEARNED)
    assert (books.learned, books.in_model, books.since_checkpoint) == (1, 1, 1)
    assert books.unreleased == [Learnt("label-1", GIVEN, READ, LEARNED)]


def test_a_position_names_partitions_by_topic() -> None:
    position = books_with("a").position(7, {("other-topic", 3): 11})
    assert position == Position(
        step=7, labels_learned=0, offsets={f"{TOPIC}-0": 0}, memory_cursor={"other-topic-3": 11}
    )


def test_a_restart_continues_where_the_checkpoint_was_taken() -> None:
    books = books_with("a", "a", "a", "a")
    books.settle_learned(books.pending["label-1"], LEARNED)
    books.settle(books.pending["label-3"])
    books.in_model = 12
    restored = after_a_restart(books)
    assert (restored.learned, restored.in_model, restored.since_checkpoint) == (1, 12, 0)
    assert restored.unreleased == books.unreleased
    assert {i for i in range(4) if restored.knows(f"label-{i}")} == {1, 3}
    assert [offset for offset in range(5) if restored.progress.read(0, offset)] == [0, 2, 4]


def test_a_restart_remembers_no_more_than_its_limit() -> None:
    books = books_with("a", "a", "a")
    for label in books.group(3):
        books.settle(label)
    small = Books(TOPIC, known_limit=2)
    small.restore(books.position(0, {}), books.state())
    label = make_label(3)
    small.progress.read(0, 3)
    small.settle(label)
    assert [i for i in range(4) if small.knows(f"label-{i}")] == [2, 3]


def test_without_a_checkpoint_a_version_says_what_is_learned() -> None:
    version = ModelVersion(
        model=ModelRef(name="weld", version=4, digest="0" * 64),
        parent=3,
        graph=Artifact(sha256="1" * 64, size_bytes=1),
        weights=Artifact(sha256="2" * 64, size_bytes=1),
        architecture="test",
        classes=ClassTable(),
        preprocessing="test",
        size_multiple=16,
        labels_learned=40,
        labels_until={0: 9},
        metrics={},
        gate=None,
        created_at=LEARNED,
    )
    books = Books(TOPIC, known_limit=100)
    books.begin_with(version)
    assert (books.in_model, books.learned) == (40, 0)
    assert not books.progress.read(0, 8)
    assert books.progress.read(0, 9)
