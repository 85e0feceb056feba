"""The commands as they are typed: what they print and how they end."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from inference.settings import InferenceSettings
from schemas.errors import WeldstreamError
from schemas.topics import JUDGEMENTS
from stream.cli import app
from tests.integration.inference.conftest import running
from tests.integration.inference.outside import Outside
from tests.integration.inference.tampering import altered, copied
from tests.integration.inference.test_recall import BLIND, requests


@pytest.fixture
def typed(settings: InferenceSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands read the environment."""
    for name in ("kafka", "registry"):
        monkeypatch.setenv(f"WELDSTREAM_{name.upper()}", json.dumps(getattr(settings, name).model_dump(mode="json")))


async def run(*words: object) -> tuple[int, str]:
    result = await asyncio.to_thread(CliRunner().invoke, app, [str(word) for word in words])
    if isinstance(result.exception, WeldstreamError):
        return 1, str(result.exception)
    return result.exit_code, result.stdout


@pytest.mark.usefixtures("typed")
async def test_a_weld_is_verified_exported_and_recalled(
    settings: InferenceSettings, outside: Outside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await outside.register(1)
    for number in range(6):
        await outside.publish(number, f"weld-{number % 2}")
    async with running(settings):
        await outside.until(JUDGEMENTS, 6)
    await outside.register(2, threshold=BLIND)
    status, text = await run("verify", "weld-1")
    assert (status, text) == (
        0,
        (
            "weld-1 from weld-1-1: 3 judgements by v1, chain holds, in progress; "
            "judged again: 3 the same, 0 differ, 0 no longer retained\n"
        ),
    )
    assert await run("verify", "weld-9") == (1, "weld-9: no judgements are retained\n")
    folder = tmp_path / "ledger"
    assert await run("ledger", "export", folder) == (0, f"6 judgements and 0 ended passes added to {folder}\n")
    status, text = await run("verify", "weld-1", "--ledger", folder, "--no-rejudge")
    assert (status, "3 judgements by v1, chain holds" in text) == (0, True)
    status, text = await run("ledger", "export", folder, "--weld", "weld-1")
    assert (status, "take another folder" in text) == (1, True)
    status, text = await run("recall", "--from", "v1", "--to", "v2")
    assert (status, text.splitlines()) == (
        0,
        [
            "6 frames that v1 judged were judged by v2, 0 are gone",
            "  weld-0: defective by v1, sound by v2",
            "  weld-1: defective by v1, sound by v2",
        ],
    )
    status, text = await run("recall", "--from", "v1", "--to", "v2", "--max-frames", 2)
    assert (status, text.splitlines()[-1]) == (3, "a limit ended it before everything was judged again")
    assert await requests(settings) == []
    for _ in range(2):
        assert (await run("recall", "--from", "v1", "--to", "v2", "--request-review"))[0] == 0
        assert len(await requests(settings)) == 6
    assert (await run("recall", "--from", "v2", "--to", "v1"))[0] == 1
    changed = await copied(settings.kafka, "changed", altered(2))
    monkeypatch.setenv("WELDSTREAM_KAFKA", json.dumps(changed.model_dump(mode="json")))
    status, text = await run("verify", "weld-1")
    assert (status, "  end_differs: judgement 2 is not the record" in text) == (1, True)
