"""``weldstream keys``: the key pair that releases are signed with."""

from pathlib import Path
from typing import Annotated

import typer

from memory.key_files import ensure_key_pair, make_key_pair, read_public_key
from memory.signing import key_id

app = typer.Typer(help="Keys that releases are signed with.", no_args_is_help=True)


@app.command()
def new(
    folder: Annotated[Path, typer.Argument(help="Where release.key and release.pub go.", show_default=False)],
    public: Annotated[
        Path | None, typer.Option(help="Folder of release.pub, where those who only verify need not see FOLDER.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the pair if there is one, instead of failing.")] = False,
) -> None:
    """Make an Ed25519 key pair; release.key is readable by its owner only."""
    pair = ensure_key_pair(folder, public) if keep else make_key_pair(folder, public)
    typer.echo(f"key {pair.key_id}: {pair.private} signs, {pair.public} verifies")


@app.command()
def show(public: Annotated[Path, typer.Argument(help="A public key file.", show_default=False)]) -> None:
    """Print the id of a public key, as announcements and messages name it."""
    typer.echo(key_id(read_public_key(public)))
