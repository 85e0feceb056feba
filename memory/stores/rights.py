"""What the memory's user may do in Redis: the commands that it sends, on keys of its own prefix."""

import re

from memory.stores.scripts import ADMIT, CLEAR, DRAW, REPLACE, STATS

_SENT = ("EVALSHA", "EVAL", "HGETALL")
"""By the store itself; AUTH and HELLO of its client need no right."""
_LOCK = ("SET", "GET", "PEXPIRE", "DEL", "SCRIPT|LOAD")
"""By the lock of the active learner, which is redis-py's."""
_CALL = re.compile(r"redis\.call\('(\w+)'")
_SPECIAL = re.compile(r"([*?\[\]\\])")


def redis_commands() -> tuple[str, ...]:
    """Return every command that the memory needs, those within its scripts included, in lower case and sorted."""
    called = {name for script in (ADMIT, REPLACE, DRAW, STATS, CLEAR) for name in _CALL.findall(script)}
    return tuple(sorted(name.lower() for name in called.union(_SENT, _LOCK)))


def redis_rule(user: str, key_prefix: str) -> str:
    """Return a user's line in Redis' ACL file, without the password.

    Parameters
    ----------
    user : str
        Its name.
    key_prefix : str
        ``RedisSettings.key_prefix``; keys begin with a brace before it, which keeps them in one cluster slot.

    Raises
    ------
    ValueError
        If either would be read as more than one word.
    """
    for word in (user, key_prefix):
        if not word or re.search(r"\s", word):
            raise ValueError(f"{word!r} is not one word")
    keys = "~{" + _SPECIAL.sub(r"\\\1", key_prefix) + "*"
    commands = " ".join(f"+{command}" for command in redis_commands())
    return f"user {user} on resetkeys resetchannels {keys} -@all {commands}"
