"""What was judged is proved later, with the real broker and the real registry between."""

from pathlib import Path

import pytest

from inference.audit import NothingJudgedError, recall, verify_weld
from inference.settings import InferenceSettings
from schemas.topics import JUDGEMENTS
from tests.integration.inference.conftest import running
from tests.integration.inference.outside import Outside


async def test_a_weld_is_verified_frame_by_frame(settings: InferenceSettings, outside: Outside, tmp_path: Path) -> None:
    await outside.register(1)
    for number in range(12):
        await outside.publish(number, f"weld-{number % 2}", defect=number % 3 == 0)
    async with running(settings):
        await outside.until(JUDGEMENTS, 12)
    report = await verify_weld(settings.kafka, settings.registry, "weld-1", tmp_path / "verify", rejudge=True)
    assert report.holds
    (own,) = report.passes
    assert (own.judgements, own.same, own.gone, own.version) == (6, 6, 0, 1)
    nobody = await verify_weld(settings.kafka, settings.registry, "weld-9", tmp_path / "verify", rejudge=True)
    assert not nobody.holds


async def test_another_model_under_the_same_number_is_found(
    settings: InferenceSettings, outside: Outside, tmp_path: Path
) -> None:
    await outside.release(1, defect=2)
    await outside.publish(0)
    async with running(settings):
        await outside.until(JUDGEMENTS, 1)
    await outside.register(1, defect=3, sequence=2)
    report = await verify_weld(settings.kafka, settings.registry, "weld-1", tmp_path / "verify", rejudge=True)
    assert not report.holds
    assert report.passes[0].differing == {"weld-1-0": ["model.digest"]}


async def test_a_recall_names_the_welds_whose_verdict_flips(
    settings: InferenceSettings, outside: Outside, tmp_path: Path
) -> None:
    await outside.register(1, defect=1)
    for number in range(8):
        await outside.publish(number, f"weld-{number % 4}", defect=number % 4 == 0)
    async with running(settings):
        await outside.until(JUDGEMENTS, 8)
    # Sees nothing: no pixel is that bright.
    await outside.register(2, defect=1, threshold=1e6)
    report = await recall(settings.kafka, settings.registry, (1, 2), tmp_path / "recall")
    assert (report.frames, report.gone) == (8, 0)
    assert report.flipped == {"weld-0": (True, False)}
    with pytest.raises(NothingJudgedError):
        await recall(settings.kafka, settings.registry, (2, 1), tmp_path / "recall")
