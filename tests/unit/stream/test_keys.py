from pathlib import Path

from typer.testing import CliRunner, Result

from memory.key_files import KeyFileError, read_signer
from stream.cli import app


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments])


def test_a_pair_is_made_once_and_shown(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    made = run("new", str(folder))
    assert made.exit_code == 0, made.output
    signer = read_signer(folder / "release.key")
    assert f"key {signer.key_id}: " in made.output
    assert run("show", str(folder / "release.pub")).output.strip() == signer.key_id
    again = run("new", str(folder))
    assert again.exit_code == 1
    assert isinstance(again.exception, KeyFileError)
    kept = run("new", str(folder), "--keep")
    assert (kept.exit_code, signer.key_id in kept.output) == (0, True)
    assert read_signer(folder / "release.key").key_id == signer.key_id


def test_a_private_key_is_never_printed(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    made = run("new", str(folder), "--public", str(tmp_path / "public"))
    secret = (folder / "release.key").read_text().splitlines()[1]
    assert secret not in made.output
    shown = run("show", str(folder / "release.key"))
    assert shown.exit_code == 1
    assert secret not in shown.output + str(shown.exception)
    assert [path.name for path in (tmp_path / "public").iterdir()] == ["release.pub"]
