import socket

from stream.local.ports import LOOPBACK, accepts, free_port, is_free


def test_a_free_port_can_be_listened_on_and_is_then_taken() -> None:
    port = free_port()
    with socket.socket() as server:
        server.bind((LOOPBACK, port))
        server.listen()
        assert not is_free(port)
        assert accepts(port)
    assert not accepts(port)


def test_a_promised_port_is_not_given_again() -> None:
    every_even = frozenset(range(0, 65536, 2))
    assert free_port(exclude=every_even) % 2 == 1


def test_free_ports_are_below_the_ephemeral_range() -> None:
    assert all(port < 32_768 for port in (free_port() for _ in range(20)))
