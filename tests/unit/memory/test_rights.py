"""The rule of the memory's user in Redis, written down from the scripts that it sends."""

import pytest

from memory.stores.rights import redis_commands, redis_rule


def test_the_commands_are_those_of_the_store_and_its_scripts() -> None:
    commands = redis_commands()
    assert list(commands) == sorted(set(commands))
    assert {"evalsha", "eval", "hgetall", "zadd", "lset", "del"} <= set(commands)
    assert not {"keys", "scan", "flushall", "config", "script", "acl"} & set(commands)


def test_a_rule_forbids_all_that_it_does_not_name() -> None:
    words = redis_rule("learner", "weldstream:").split()
    assert words[:7] == ["user", "learner", "on", "resetkeys", "resetchannels", "~{weldstream:*", "-@all"]
    assert words[7:] == [f"+{command}" for command in redis_commands()]


def test_a_prefix_is_no_pattern() -> None:
    assert r"~{a\*\[b\]\?\\*" in redis_rule("learner", "a*[b]?\\").split()


@pytest.mark.parametrize(
    ("user", "prefix"), [("", "p"), ("u", ""), ("u +@all", "p"), ("u", "p ~*"), ("u", "p\nuser x")]
)
def test_nothing_else_can_be_slipped_into_the_line(user: str, prefix: str) -> None:
    with pytest.raises(ValueError, match="is not one word"):
        redis_rule(user, prefix)
