"""Commands that live with the services are found by their entry points."""

import importlib
from dataclasses import dataclass
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import stream.cli


@dataclass
class Entry:
    name: str
    thing: Any

    def load(self) -> Any:
        return self.thing


def test_commands_and_groups_of_them_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    group = typer.Typer(help="A group.")
    group.command("inner")(lambda: typer.echo("from the group"))
    group.callback()(lambda: None)
    entries = [Entry("outer", lambda: typer.echo("from the command")), Entry("group", group)]
    with monkeypatch.context() as patch:
        patch.setattr("importlib.metadata.entry_points", lambda **_: entries)
        app = importlib.reload(stream.cli).app
    try:
        assert CliRunner().invoke(app, ["outer"]).output == "from the command\n"
        assert CliRunner().invoke(app, ["group", "inner"]).output == "from the group\n"
    finally:
        importlib.reload(stream.cli)
