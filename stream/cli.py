"""The command line: one line here for each file in ``stream/commands``."""

import sys
from importlib.metadata import entry_points

import typer
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from schemas.errors import WeldstreamError
from stream.commands import acls, deadletters, inspectors, keys, ledger, models, topics
from stream.commands.demo import demo_command
from stream.commands.replay import replay_command
from stream.commands.simulate import simulate_command
from stream.commands.up import up_command

app = typer.Typer(
    name="weldstream",
    help="Streaming continual learning for ultrasonic weld inspection.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo_command)
app.command("up")(up_command)
app.command("replay")(replay_command)
app.command("simulate")(simulate_command)
app.add_typer(acls.app, name="acls")
app.add_typer(deadletters.app, name="deadletters")
app.add_typer(inspectors.app, name="inspectors")
app.add_typer(keys.app, name="keys")
app.add_typer(ledger.app, name="ledger")
app.add_typer(models.app, name="models")
app.add_typer(topics.app, name="topics")
# What needs a model lives with the services, which this package does not know: commands, and groups of them.
for entry in entry_points(group="weldstream.commands"):
    loaded = entry.load()
    if isinstance(loaded, typer.Typer):
        app.add_typer(loaded, name=entry.name)
    else:
        app.command(entry.name)(loaded)


def main() -> None:
    """Run the command line; an error that a person can act on is one line, not a traceback."""
    try:
        app()
    except (WeldstreamError, KafkaError, FileNotFoundError, ValidationError) as error:
        typer.echo(f"weldstream: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
