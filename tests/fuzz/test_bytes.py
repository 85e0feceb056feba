"""Valid inputs with bytes changed, for everything that reads bytes from outside."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.mutations import mutated
from tests.fuzz.tally import Tally, examples
from tests.fuzz.targets import TARGETS, Target

each_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())


@each_target
def test_what_is_valid_is_read(target: Target) -> None:
    read = [target.check(valid) for valid in target.seeds()]
    assert sum(read) > len(read) / 2  # a stack is a file, but no frame


@each_target
@pytest.mark.timeout(0)
def test_any_bytes_are_read_or_refused(target: Target, tally: Tally) -> None:
    valid = target.seeds()

    @examples()
    @given(data=mutated(valid) | st.sampled_from(list(valid)))
    def read(data: bytes) -> None:
        tally.check(target.name, target.check, data)

    read()
