import json
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from learner.progress import Progress

GAPPED_LOGS = st.dictionaries(
    st.integers(0, 2), st.sets(st.integers(0, 40), min_size=1, max_size=12).map(sorted), min_size=1, max_size=3
)
READ, SETTLE, RESTART = "read", "settle", "restart"
ACTIONS = st.lists(st.tuples(st.sampled_from([READ, READ, SETTLE, SETTLE, RESTART]), st.integers(0, 1000)), max_size=80)


class Reader:
    """A consumer of a log whose offsets have gaps, with the progress that it would keep."""

    def __init__(self, log: dict[int, list[int]]) -> None:
        self.log = log
        self.progress = Progress()
        self.cursor = dict.fromkeys(log, 0)
        self.open: list[tuple[int, int]] = []
        self.settled: set[tuple[int, int]] = set()

    def read(self, choice: int) -> None:
        left = [p for p, offsets in self.log.items() if self.cursor[p] < len(offsets)]
        if not left:
            return
        partition = left[choice % len(left)]
        record = partition, self.log[partition][self.cursor[partition]]
        self.cursor[partition] += 1
        wanted = self.progress.read(*record)
        assert wanted == (record not in self.settled), f"{record} is {'repeated' if wanted else 'skipped'}"
        if wanted:
            self.open.append(record)

    def settle(self, choice: int) -> None:
        if self.open:
            record = self.open.pop(choice % len(self.open))
            self.progress.settle(*record)
            self.settled.add(record)

    def restart(self) -> None:
        offsets, ahead = self.progress.offsets(), self.progress.ahead()
        assert json.loads(json.dumps(list(ahead.values()))) == list(ahead.values())
        self.progress, self.open = Progress(offsets, ahead), []
        for partition, log in self.log.items():
            position = self.progress.position(partition)
            assert position == offsets.get(partition)
            self.cursor[partition] = sum(offset < (position or 0) for offset in log)

    def act(self, actions: Sequence[tuple[str, int]]) -> None:
        for name, choice in actions:
            match name:
                case "read":
                    self.read(choice)
                case "settle":
                    self.settle(choice)
                case _:
                    self.restart()


# The first restart ends with record 1 settled and 0 open; the second one with nothing open.
@example({0: [0, 1]}, [(READ, 0), (READ, 0), (SETTLE, 1), (RESTART, 0), (READ, 0), (SETTLE, 0), (RESTART, 0)])
@given(GAPPED_LOGS, ACTIONS)
def test_whatever_is_settled_first_a_restart_neither_skips_nor_repeats(
    log: dict[int, list[int]], actions: list[tuple[str, int]]
) -> None:
    reader = Reader(log)
    reader.act(actions)
    reader.restart()
    everything = {(p, o) for p, offsets in log.items() for o in offsets}
    reader.act([(READ, 0)] * len(everything))
    assert set(reader.open) == everything - reader.settled
    assert len(reader.open) == len(set(reader.open))
    reader.act([(SETTLE, 0)] * len(everything))
    assert reader.progress.offsets() == {p: offsets[-1] + 1 for p, offsets in log.items()}
    assert reader.progress.ahead() == {}


@given(GAPPED_LOGS, ACTIONS)
def test_only_what_lies_behind_an_open_record_is_remembered_one_by_one(
    log: dict[int, list[int]], actions: list[tuple[str, int]]
) -> None:
    reader = Reader(log)
    reader.act([action for action in actions if action[0] != RESTART])
    for partition, first in reader.progress.offsets().items():
        unread = log[partition][reader.cursor[partition] :]
        opened = [o for p, o in reader.open if p == partition]
        assert first <= min([*opened, *unread], default=first)
        behind = sorted(o for p, o in reader.settled if p == partition and o >= first)
        assert reader.progress.ahead().get(partition, []) == behind


def test_a_record_that_is_delivered_again_is_skipped() -> None:
    progress = Progress({0: 5})
    assert not progress.read(0, 4)
    assert progress.read(0, 5)
    assert not progress.read(0, 5)
    assert progress.offsets() == {0: 5}


def test_partitions_do_not_mix() -> None:
    progress = Progress()
    assert progress.position(1) is None
    assert progress.read(0, 7)
    assert progress.read(1, 3)
    progress.settle(0, 7)
    assert progress.offsets() == {0: 8, 1: 3}
    assert (progress.position(0), progress.position(1)) == (8, 4)
    assert not progress.read(0, 7)


def test_a_record_is_settled_once_and_only_if_it_was_read() -> None:
    progress = Progress()
    progress.read(0, 0)
    progress.settle(0, 0)
    with pytest.raises(KeyError):
        progress.settle(0, 0)
    with pytest.raises(KeyError):
        progress.settle(1, 0)
