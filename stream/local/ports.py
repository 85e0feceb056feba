"""Free ports on loopback, and whether something listens on one."""

import random
import socket

LOOPBACK = "127.0.0.1"

# Below every system's ephemeral range. A port inside that range may be taken by some outgoing connection while its
# server is being restarted, and a client that keeps trying to connect may even end up connected to itself.
_FIRST, _LAST = 20_000, 32_000


def free_port(*, exclude: frozenset[int] = frozenset()) -> int:
    """Return a TCP port of 127.0.0.1 on which nobody listens now.

    Parameters
    ----------
    exclude : frozenset of int
        Ports already promised to others.

    Raises
    ------
    OSError
        If no free port is found.
    """
    rng = random.SystemRandom()
    for _ in range(200):
        port = rng.randint(_FIRST, _LAST)
        if port not in exclude and is_free(port):
            return port
    msg = f"no free port found between {_FIRST} and {_LAST}"
    raise OSError(msg)


def is_free(port: int) -> bool:
    """Return whether a server could listen on this port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def accepts(port: int, *, timeout_s: float = 0.5) -> bool:
    """Return whether something on 127.0.0.1 accepts connections on this port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout_s):
            return True
    except OSError:
        return False
