from pathlib import Path

from stream.local.kafka import Detour, server_properties


def properties(detour: Detour | None) -> dict[str, str]:
    text = server_properties(port=1001, controller_port=1002, log_dir=Path("data"), detour=detour)
    return dict(line.split("=", 1) for line in text.splitlines())


def test_a_detour_is_a_second_listener_that_sends_clients_elsewhere() -> None:
    plain, both = properties(None), properties(Detour(1003, advertised=1004))
    changed = {name: value.removeprefix(plain[name]) for name, value in both.items() if value != plain[name]}
    assert changed == {
        "listeners": ",DETOUR://127.0.0.1:1003",
        "advertised.listeners": ",DETOUR://127.0.0.1:1004",
        "listener.security.protocol.map": ",DETOUR:PLAINTEXT",
    }
